use std::borrow::Cow;
use std::fmt;

use serde_saphyr::{MessageFormatter, UserMessageFormatter};

/// Why the text of a configuration file cannot be read, with the place and the key.
#[derive(Debug, Eq, PartialEq)]
pub struct SyntaxError {
    /// Line and column, from 1, where the parser knows them.
    place: Option<(u64, u64)>,
    message: String,
}

impl SyntaxError {
    /// Describes what the parser found while it was at the key `path`, written with dots.
    pub fn new(path: &str, error: &serde_saphyr::Error) -> Self {
        use serde_saphyr::Error;

        let place = error.location().map(|location| (location.line(), location.column()));
        // The last part of the path is the key itself, or "?" if the parser stopped before it; "." is the whole file.
        let sibling = |key: &str| match path.rsplit_once('.') {
            Some((section, _)) if !section.is_empty() => format!("{section}.{key}"),
            Some(_) | None => key.to_owned(),
        };
        let message = match error {
            Error::SerdeUnknownField { field, expected, .. } => {
                format!("unknown key \"{}\": {}", sibling(field), suggestion(field, expected))
            }
            Error::SerdeUnknownVariant { variant, expected, .. } => {
                format!("{path}: unknown value {variant:?}: {}", suggestion(variant, expected))
            }
            Error::DuplicateMappingKey { key: Some(key), .. } => {
                format!("duplicate key \"{}\": keep one of them", sibling(key))
            }
            other if matches!(path, "." | "?") => format!("not a configuration in YAML: {}", describe(other)),
            other => format!("{}: {}", path.strip_suffix(".?").unwrap_or(path), describe(other)),
        };
        Self { place, message }
    }
}

/// What is wrong with a value, in words for people who do not know the parser.
fn describe(error: &serde_saphyr::Error) -> Cow<'_, str> {
    use serde_saphyr::Error;

    match error {
        Error::InvalidScalar { ty: "boolean", .. } => "expected true or false".into(),
        Error::InvalidScalar { ty: "u32", .. } => "expected a whole number".into(),
        Error::Unexpected { expected: "sequence start", .. } => "expected a list".into(),
        Error::Unexpected { expected: "mapping start", .. } => "expected keys with values".into(),
        Error::Unexpected { expected: "string scalar", .. } => "expected a single value".into(),
        other => UserMessageFormatter.format_message(other),
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for SyntaxError {}

/// Names the known key that was probably meant, or else all of them.
fn suggestion(found: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(found, name), name))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .filter(|(similarity, _)| *similarity >= 0.6);
    match nearest {
        Some((_, name)) => format!("did you mean {name:?}?"),
        None => format!("expected one of {}", known.join(", ")),
    }
}
