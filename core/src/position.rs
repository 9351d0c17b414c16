use core::fmt;
use core::str::FromStr;

use crate::hex::InvalidHex;
use crate::{Checksum, InvalidChecksum, InvalidTxid, Txid};

/// State of a database: the last transaction, and the checksum of the database after it.
///
/// Two nodes at the same position have the same database. Written as `txid/checksum`, 33 characters.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The last transaction.
    pub txid: Txid,
    /// The checksum of the database after it.
    pub checksum: Checksum,
}

impl Position {
    /// The position of a database that nothing was committed to.
    pub const ZERO: Self = Self { txid: Txid::ZERO, checksum: Checksum::ZERO };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.txid, self.checksum)
    }
}

/// A text that is not a position.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidPosition {
    /// There is no slash between the two numbers.
    #[error("invalid position: no slash, expected txid/checksum")]
    NoSlash,
    /// The part before the slash is wrong.
    #[error("invalid position: transaction id: {0}")]
    Txid(InvalidHex),
    /// The part after the slash is wrong.
    #[error("invalid position: checksum: {0}")]
    Checksum(InvalidHex),
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (txid, checksum) = text.split_once('/').ok_or(InvalidPosition::NoSlash)?;
        Ok(Self {
            txid: txid.parse().map_err(|InvalidTxid(reason)| InvalidPosition::Txid(reason))?,
            checksum: checksum
                .parse()
                .map_err(|InvalidChecksum(reason)| InvalidPosition::Checksum(reason))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn position_is_written_as_two_numbers_with_a_slash() {
        let position = Position { txid: Txid::new(2), checksum: Checksum::new(0x8bf3_2bc8_ad81_d5c6) };
        assert_eq!(position.to_string(), "0000000000000002/8bf32bc8ad81d5c6");
        assert_eq!("0000000000000002/8bf32bc8ad81d5c6".parse(), Ok(position));
        assert_eq!(Position::ZERO.to_string(), "0000000000000000/0000000000000000");
    }

    #[test]
    fn position_text_names_the_wrong_part() {
        let error = |text: &str| text.parse::<Position>().unwrap_err().to_string();
        assert_eq!(error("0000000000000002"), "invalid position: no slash, expected txid/checksum");
        assert_eq!(
            error("2/8bf32bc8ad81d5c6"),
            "invalid position: transaction id: 1 characters, expected 16"
        );
        assert_eq!(
            error("0000000000000002/8bf32bc8ad81d5c6/"),
            "invalid position: checksum: 17 characters, expected 16"
        );
    }
}
