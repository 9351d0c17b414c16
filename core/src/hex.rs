//! Sixteen hexadecimal digits: how transaction ids, checksums and node ids are written in file names, the API and the CLI.

/// Why a text is not a 64-bit number in hexadecimal.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidHex {
    /// The text has another length than the format allows.
    #[error("{found} characters, expected {expected}")]
    Length {
        /// Bytes in the text.
        found: usize,
        /// Bytes the format asks for.
        expected: usize,
    },
    /// A byte is not one of `0-9`, `a-f`, `A-F`.
    #[error("byte {byte:#04x} at index {index} is not a hexadecimal digit")]
    Digit {
        /// Where the byte stands, from 0.
        index: usize,
        /// The byte.
        byte: u8,
    },
}

/// Reads exactly 16 digits, either case. Unlike `u64::from_str_radix` it takes no sign.
pub(crate) fn parse_16(text: &str) -> Result<u64, InvalidHex> {
    if text.len() != 16 {
        return Err(InvalidHex::Length { found: text.len(), expected: 16 });
    }
    parse_digits(text)
}

/// Reads up to 16 digits, either case.
pub(crate) fn parse_digits(text: &str) -> Result<u64, InvalidHex> {
    if text.is_empty() || text.len() > 16 {
        return Err(InvalidHex::Length { found: text.len(), expected: 16 });
    }
    text.bytes().enumerate().try_fold(0u64, |value, (index, byte)| {
        let digit = char::from(byte).to_digit(16).ok_or(InvalidHex::Digit { index, byte })?;
        Ok(value << 4 | u64::from(digit))
    })
}
