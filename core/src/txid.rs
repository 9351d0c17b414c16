use core::fmt;
use core::str::FromStr;

use crate::hex::{self, InvalidHex};

/// Number of a transaction of one database. The first commit is 1; 0 means that nothing was committed yet.
///
/// Written as exactly 16 hexadecimal digits, lower case.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Txid(u64);

impl Txid {
    /// Nothing was committed yet.
    pub const ZERO: Self = Self(0);

    /// The transaction with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The transaction after this one, at most `u64::MAX`.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The transaction before this one, at least [`Txid::ZERO`].
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Txid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A text that is not a transaction id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid transaction id: {0}")]
pub struct InvalidTxid(pub InvalidHex);

impl FromStr for Txid {
    type Err = InvalidTxid;

    /// Accepts either case.
    fn from_str(text: &str) -> Result<Self, InvalidTxid> {
        hex::parse_16(text).map(Self).map_err(InvalidTxid)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn txid_is_written_as_16_lower_case_digits_and_read_in_either_case() {
        assert_eq!(Txid::new(0xabc).to_string(), "0000000000000abc");
        assert_eq!("0000000000000ABC".parse(), Ok(Txid::new(0xabc)));
        assert_eq!("ffffffffffffffff".parse(), Ok(Txid::new(u64::MAX)));
    }

    #[test]
    fn txid_text_must_be_16_digits_without_sign_or_prefix() {
        for text in [
            "",
            "1",
            "000000000000abc",
            "00000000000000abc",
            "+000000000000abc",
            "0x0000000000000a",
            "000000000000 abc",
        ] {
            assert!(text.parse::<Txid>().is_err(), "{text:?} was accepted");
        }
        assert_eq!(
            "+000000000000abc".parse::<Txid>().unwrap_err().to_string(),
            "invalid transaction id: byte 0x2b at index 0 is not a hexadecimal digit"
        );
    }

    #[test]
    fn neighbours_saturate_at_the_ends() {
        assert_eq!(Txid::ZERO.prev(), Txid::ZERO);
        assert_eq!(Txid::new(u64::MAX).next(), Txid::new(u64::MAX));
        assert_eq!(Txid::ZERO.next(), Txid::new(1));
    }
}
