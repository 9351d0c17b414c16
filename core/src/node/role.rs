use alloc::string::String;

/// What a node is, for all its databases.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Role {
    /// It knows no primary and is not allowed to be one.
    Searching,
    /// It takes writes and sends them to the others.
    Primary,
    /// It follows this primary.
    Replica(PrimaryInfo),
}

/// How to reach the primary.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PrimaryInfo {
    /// Its host name, which the mount shows as `.primary`.
    pub hostname: String,
    /// Where its HTTP API is, `http://host:port`.
    pub url: String,
}

impl Role {
    /// Whether this is [`Role::Primary`].
    pub fn is_primary(&self) -> bool {
        matches!(self, Self::Primary)
    }

    /// The name in `/status`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Searching => "searching",
            Self::Primary => "primary",
            Self::Replica(_) => "replica",
        }
    }
}
