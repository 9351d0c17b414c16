use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// Name of a database, which is also its file name in the mount: 1 to 255 bytes, no slash, no NUL, not `.` or `..`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DatabaseName(String);

impl DatabaseName {
    /// Longest name in bytes, the limit of a file name on Linux.
    pub const MAX_LEN: usize = 255;

    /// The name with this text, if it can be a file name.
    pub fn new(text: &str) -> Result<Self, InvalidDatabaseName> {
        if text.is_empty() {
            return Err(InvalidDatabaseName::Empty);
        }
        if text.len() > Self::MAX_LEN {
            return Err(InvalidDatabaseName::TooLong { found: text.len() });
        }
        if let Some((index, byte)) = text.bytes().enumerate().find(|(_, byte)| matches!(byte, b'/' | 0)) {
            return Err(InvalidDatabaseName::Byte { index, byte });
        }
        if matches!(text, "." | "..") {
            return Err(InvalidDatabaseName::Directory);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for DatabaseName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DatabaseName {
    type Err = InvalidDatabaseName;

    fn from_str(text: &str) -> Result<Self, InvalidDatabaseName> {
        Self::new(text)
    }
}

/// A text that cannot be the name of a database.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidDatabaseName {
    /// The text is empty.
    #[error("invalid database name: empty")]
    Empty,
    /// The text is longer than a file name may be.
    #[error("invalid database name: {found} bytes, at most {max} fit", max = DatabaseName::MAX_LEN)]
    TooLong {
        /// Bytes in the text.
        found: usize,
    },
    /// The text holds a slash or a NUL.
    #[error("invalid database name: byte {byte:#04x} at index {index} cannot be in a file name")]
    Byte {
        /// Where the byte stands, from 0.
        index: usize,
        /// The byte.
        byte: u8,
    },
    /// The text names a directory.
    #[error("invalid database name: \".\" and \"..\" are directories")]
    Directory,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_that_would_leave_the_data_directory_is_refused() {
        assert_eq!(DatabaseName::new(""), Err(InvalidDatabaseName::Empty));
        assert_eq!(DatabaseName::new("."), Err(InvalidDatabaseName::Directory));
        assert_eq!(DatabaseName::new(".."), Err(InvalidDatabaseName::Directory));
        assert_eq!(DatabaseName::new("../a"), Err(InvalidDatabaseName::Byte { index: 2, byte: b'/' }));
        assert_eq!(DatabaseName::new("a\0"), Err(InvalidDatabaseName::Byte { index: 1, byte: 0 }));
        assert_eq!(DatabaseName::new(&"x".repeat(256)), Err(InvalidDatabaseName::TooLong { found: 256 }));
    }

    #[test]
    fn ordinary_names_are_kept_as_they_are() {
        for text in ["db", "app.db", "...", "a b", "caf\u{e9}.sqlite", &"x".repeat(255)] {
            assert_eq!(DatabaseName::new(text).unwrap().as_str(), text);
        }
    }
}
