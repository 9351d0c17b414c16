use crate::log::AppendError;
use crate::{Checksum, Errno, PageNumber, Position, Txid, ltx};

/// Why a database cannot be opened. Nothing was thrown away.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error("cannot read or write the database's files: {0}")]
    Disk(#[from] Errno),
    /// The log could not be appended to.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// An LTX file that is needed is damaged.
    #[error("transactions {from} to {to} are needed and damaged in the log: {reason}")]
    Log {
        /// The first of them.
        from: Txid,
        /// The last of them.
        to: Txid,
        /// What is wrong.
        reason: ltx::DecodeError,
    },
    /// The database file does not hold what the log says.
    #[error(
        "the database file has checksum {found}, the log ends at {expected}: the file was damaged or changed from outside; \
         restore it from a replica or a backup"
    )]
    Mismatch {
        /// The position the log ends at.
        expected: Position,
        /// The checksum of the database file.
        found: Checksum,
    },
    /// The database file is too short for what the log says.
    #[error(
        "the database file has {found_len} bytes and lacks page {page}, which it must have at {expected}: the file was \
         truncated or removed from outside; restore it from a replica or a backup"
    )]
    Short {
        /// Bytes of the file.
        found_len: u64,
        /// The first page that is missing.
        page: PageNumber,
        /// The position the log ends at.
        expected: Position,
    },
    /// The database was being replaced without a journal when the node died, and is not whole.
    #[error(
        "the database file was being overwritten when the node stopped and is not whole; copy a whole database over it \
         or restore it from a replica or a backup"
    )]
    Incomplete,
}
