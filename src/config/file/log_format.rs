use serde::Deserialize;

/// The shape of a line in the log.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// `level=INFO msg="…" key=value`.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}
