use core::fmt;
use core::str::FromStr;

/// Bytes in a cluster id.
const LEN: usize = 20;
const PREFIX: &str = "LFSC";

/// Identity of a cluster, which a node keeps on disk so that it never follows the primary of another cluster.
///
/// `LFSC` and 16 characters, which are upper-case hexadecimal digits when this program drew them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClusterId([u8; LEN]);

impl ClusterId {
    /// The cluster id made from a random number.
    pub fn new(random: u64) -> Self {
        let mut bytes = [0; LEN];
        bytes[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        for (index, byte) in bytes[PREFIX.len()..].iter_mut().enumerate() {
            let nibble = (random >> (60 - 4 * index)) & 0xf;
            *byte = b"0123456789ABCDEF"[nibble as usize];
        }
        Self(bytes)
    }

    /// The 20 characters.
    pub fn as_str(&self) -> &str {
        // Both constructors take printable ASCII only.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a cluster id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidClusterId {
    /// The text has another length than 20.
    #[error("invalid cluster id: {found} bytes, expected 20")]
    Length {
        /// Bytes in the text.
        found: usize,
    },
    /// The text does not begin with `LFSC`.
    #[error("invalid cluster id: it does not begin with LFSC")]
    Prefix,
    /// A byte could not be sent in an HTTP header.
    #[error("invalid cluster id: byte {byte:#04x} at index {index} is not printable ASCII")]
    Byte {
        /// Where the byte stands, from 0.
        index: usize,
        /// The byte.
        byte: u8,
    },
}

impl FromStr for ClusterId {
    type Err = InvalidClusterId;

    /// Accepts any printable characters after the prefix: existing clusters may have been given a name by hand.
    fn from_str(text: &str) -> Result<Self, InvalidClusterId> {
        let bytes: [u8; LEN] =
            text.as_bytes().try_into().map_err(|_| InvalidClusterId::Length { found: text.len() })?;
        if !text.starts_with(PREFIX) {
            return Err(InvalidClusterId::Prefix);
        }
        match bytes.iter().position(|byte| !byte.is_ascii_graphic()) {
            Some(index) => Err(InvalidClusterId::Byte { index, byte: bytes[index] }),
            None => Ok(Self(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn drawn_cluster_id_is_the_prefix_and_16_upper_case_digits() {
        let id = ClusterId::new(0x0123_4567_89ab_cdef);
        assert_eq!(id.to_string(), "LFSC0123456789ABCDEF");
        assert_eq!("LFSC0123456789ABCDEF".parse(), Ok(id));
    }

    #[test]
    fn cluster_id_text_needs_length_prefix_and_printable_characters() {
        let error = |text: &str| text.parse::<ClusterId>().unwrap_err();
        assert_eq!(error("LFSC0123456789ABCDE"), InvalidClusterId::Length { found: 19 });
        assert_eq!(error("XXXX0123456789ABCDEF"), InvalidClusterId::Prefix);
        assert_eq!(error("LFSC012345678 ABCDEF"), InvalidClusterId::Byte { index: 13, byte: b' ' });
        assert_eq!(error("LFSC012345678\u{e9}ABCDE"), InvalidClusterId::Byte { index: 13, byte: 0xc3 });
    }
}
