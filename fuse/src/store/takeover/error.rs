use std::io;
use std::path::{Path, PathBuf};

use litefs_core::log::AppendError;
use litefs_core::{Checksum, Errno, Position};

/// Why a database that LiteFS left cannot be taken over. Nothing was thrown away.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// The disk failed, or is full.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The disk failed.
    #[error("cannot read or write the database's files: {0}")]
    Disk(#[from] Errno),
    /// The log could not be written. It needs as much room as the transactions of LiteFS.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The newest transaction is damaged, so nobody knows what the database should be.
    #[error(
        "the newest transaction {path} is damaged: {reason}; remove the database's directory to fetch it from the \
         primary, or restore it from a backup"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The database is not what the newest transaction says.
    #[error(
        "the database has checksum {found}, its newest transaction says {expected}: the file was damaged or changed from \
         outside; remove the database's directory to fetch it from the primary, or restore it from a backup"
    )]
    Mismatch {
        /// The position after the newest transaction.
        expected: Position,
        /// The checksum of the database file.
        found: Checksum,
    },
}

impl TakeoverError {
    /// An error of the system at this path.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}
