use std::fmt::{Debug, Display};
use std::str::FromStr;

use litefs_core::ltx::{file_name, parse_file_name};
use litefs_core::{Checksum, ClusterId, DatabaseName, NodeId, Position, Txid};

/// A text that may be a name or a number of any kind.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    parses_again::<Txid>(text);
    parses_again::<Checksum>(text);
    parses_again::<Position>(text);
    parses_again::<NodeId>(text);
    if let Some(id) = parses_again::<ClusterId>(text) {
        assert_eq!(id.as_str(), text);
    }
    if let Some(name) = parses_again::<DatabaseName>(text) {
        assert_eq!(name.as_str(), text);
        let path = std::path::Path::new(text);
        assert_eq!(path.file_name(), Some(path.as_os_str()), "{text:?} is not the name of a file");
    }
    if let Some((min, max)) = parse_file_name(text) {
        assert_eq!(file_name(min, max), text);
    }
}

/// What was read is written so that it reads the same.
fn parses_again<T: FromStr + Display + Debug + PartialEq>(text: &str) -> Option<T> {
    let value = text.parse::<T>().ok()?;
    let written = value.to_string();
    assert_eq!(written.parse().ok().as_ref(), Some(&value), "{text:?} was written as {written:?}");
    Some(value)
}
