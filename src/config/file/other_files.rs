use serde::Deserialize;

/// What happens to files in the mount that belong to no SQLite database.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum OtherFiles {
    /// They cannot be created, so that nobody believes they are replicated.
    #[default]
    Deny,
    /// They are kept on this node only.
    Local,
}
