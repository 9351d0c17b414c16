//! Why a [`crate::Host`] could not do something.

use std::io;

use litefs_core::Position;

/// Why a database could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is no such database.
    #[error("database not found")]
    NotFound,
    /// The database was dropped or never written.
    #[error("database is empty")]
    Empty,
    /// It could not be read.
    #[error("cannot read database: {0}")]
    Io(#[from] io::Error),
}

/// Why a database could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// This node may not write.
    #[error("this node is not the primary")]
    NotPrimary,
    /// What was sent is not a database this node can take.
    #[error("{0}")]
    Invalid(String),
    /// It could not be received or stored.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Why a received transaction was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The database is not where the transaction starts.
    #[error("the database is at {local}, the transaction follows {expected}")]
    PositionMismatch {
        /// Where the database is.
        local: Position,
        /// Where it would have to be.
        expected: Position,
    },
    /// The transaction cannot be applied to what the database contains, although the position is right.
    #[error("the database needs a snapshot: {0}")]
    NeedsSnapshot(String),
    /// It could not be stored, for now.
    #[error("cannot store the transaction: {0}")]
    Io(#[from] io::Error),
}

/// Why the role of the primary was not handed over.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HandoffError {
    /// This node does not have the role.
    #[error("node is not currently primary")]
    NotPrimary,
    /// The lease service cannot do it.
    #[error("{kind} lease does not support handoff")]
    Unsupported {
        /// Its name in the configuration.
        kind: &'static str,
    },
    /// The target does not follow this node.
    #[error("target node is not currently connected")]
    NotConnected,
}
