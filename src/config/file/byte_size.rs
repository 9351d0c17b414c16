use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};

/// Units a size is written in, with their length in bytes.
const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// A number of bytes as the configuration writes it: `512MiB`, `10GB`, or a bare number of bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ByteSize(u64);

impl ByteSize {
    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, InvalidByteSize> {
        let number_len = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(number_len);
        let unit = unit.trim_start();
        let Some((_, unit_bytes)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(InvalidByteSize::NotASize { text: text.to_owned() });
        };
        if number.is_empty() {
            return Err(InvalidByteSize::NotASize { text: text.to_owned() });
        }
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*unit_bytes))
            .map(Self)
            .ok_or_else(|| InvalidByteSize::OutOfRange { text: text.to_owned() })
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A text that is not a size.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidByteSize {
    /// No whole number with a known unit.
    #[error(
        "invalid size {text:?}: expected a whole number of bytes, \
         or one with a unit of KB, MB, GB, TB (thousands) or KiB, MiB, GiB, TiB (1024s)"
    )]
    NotASize {
        /// The text.
        text: String,
    },
    /// A number that cannot be counted.
    #[error("invalid size {text:?}: more than the {max} bytes that can be counted", max = u64::MAX)]
    OutOfRange {
        /// The text.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_thousands_and_in_1024s() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("7B", 7),
            ("10GB", 10_000_000_000),
            ("512MiB", 536_870_912),
            ("512 MiB", 536_870_912),
            ("1TiB", 1_099_511_627_776),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_size_is_refused() {
        for text in ["", "GB", "-1", "1.5GB", "10G", "10gb", "ten"] {
            let expected = InvalidByteSize::NotASize { text: text.to_owned() };
            assert_eq!(text.parse::<ByteSize>(), Err(expected), "{text}");
        }
        for text in ["18446744073709551616", "99999999TiB"] {
            let expected = InvalidByteSize::OutOfRange { text: text.to_owned() };
            assert_eq!(text.parse::<ByteSize>(), Err(expected), "{text}");
        }
    }
}
