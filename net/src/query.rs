//! Query strings, as `application/x-www-form-urlencoded`.

use std::fmt::Write;

use litefs_core::DatabaseName;

/// Why a query parameter cannot be taken.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum QueryError {
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("invalid query: {0:?} is not url encoded")]
    Encoding(String),
    /// The parameter must be there.
    #[error("name required")]
    NameRequired,
    /// It is there, but not a name.
    #[error(transparent)]
    Name(#[from] litefs_core::InvalidDatabaseName),
}

/// The value of the first parameter with this name, decoded.
pub(crate) fn parameter(query: Option<&str>, name: &str) -> Result<Option<String>, QueryError> {
    for pair in query.unwrap_or_default().split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode(key)? == name {
            return decode(value).map(Some);
        }
    }
    Ok(None)
}

/// The database in the parameter `name`.
pub(crate) fn database(query: Option<&str>) -> Result<DatabaseName, QueryError> {
    match parameter(query, "name")? {
        Some(name) if !name.is_empty() => Ok(DatabaseName::new(&name)?),
        Some(_) | None => Err(QueryError::NameRequired),
    }
}

/// `value` so that it can stand in a query.
pub(crate) fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn decode(value: &str) -> Result<String, QueryError> {
    let invalid = || QueryError::Encoding(value.to_owned());
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = (digit().ok_or_else(invalid)?, digit().ok_or_else(invalid)?);
                u8::try_from(high << 4 | low).map_err(|_| invalid())?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_and_decoded() {
        let query = Some("a=1&name=my%20db%2Fx+y&name=second&flag");
        assert_eq!(parameter(query, "name"), Ok(Some("my db/x y".into())));
        assert_eq!(parameter(query, "flag"), Ok(Some(String::new())));
        assert_eq!(parameter(query, "b"), Ok(None));
        assert_eq!(parameter(None, "b"), Ok(None));
        for query in ["name=%2", "name=%zz", "name=%ff", "%=x"] {
            assert!(matches!(parameter(Some(query), "name"), Err(QueryError::Encoding(_))), "{query}");
        }
    }

    #[test]
    fn database_must_be_named_and_stay_in_the_data_directory() {
        assert_eq!(database(Some("name=app.db")).unwrap().as_str(), "app.db");
        assert_eq!(database(None), Err(QueryError::NameRequired));
        assert_eq!(database(Some("name=")), Err(QueryError::NameRequired));
        for query in ["name=..%2Fx", "name=..", "name=a%00b", "name=/etc/passwd"] {
            assert!(matches!(database(Some(query)), Err(QueryError::Name(_))), "{query}");
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_to_the_same() {
        for text in ["app.db", "a b", "50%+1", "caf\u{e9}", "a&b=c", "a,b"] {
            assert_eq!(decode(&encode(text)).as_deref(), Ok(text));
        }
    }
}
