use core::fmt;
use core::str::FromStr;

use crate::hex::{self, InvalidHex};

/// Identity of a running node. A node draws a new one at each start. Written as 16 hexadecimal digits, upper case.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeId(u64);

impl NodeId {
    /// No node: the author of a compacted file.
    pub const ZERO: Self = Self(0);

    /// The node with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// A text that is not a node id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid node id: {0}")]
pub struct InvalidNodeId(pub InvalidHex);

impl FromStr for NodeId {
    type Err = InvalidNodeId;

    /// Accepts either case and fewer than 16 digits, as peers may send them.
    fn from_str(text: &str) -> Result<Self, InvalidNodeId> {
        hex::parse_digits(text).map(Self).map_err(InvalidNodeId)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn node_id_is_written_as_16_upper_case_digits_and_read_leniently() {
        assert_eq!(NodeId::new(0xabc).to_string(), "0000000000000ABC");
        assert_eq!("abc".parse(), Ok(NodeId::new(0xabc)));
        assert_eq!("0000000000000ABC".parse(), Ok(NodeId::new(0xabc)));
        assert!("".parse::<NodeId>().is_err());
        assert!("00000000000000abc".parse::<NodeId>().is_err());
        assert!("-1".parse::<NodeId>().is_err());
    }
}
