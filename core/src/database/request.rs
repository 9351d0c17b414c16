//! What a program asks of a database's files.

use crate::File;

/// One operation on the files of a database that the machine must see before it happens.
///
/// Reads, and writes that go past the daemon (the checkpointed database file and the wal-index in WAL mode), are
/// not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Create `file`, which does not exist.
    Create(File),
    /// Write `data` at `offset` bytes.
    Write {
        /// The file written to.
        file: File,
        /// In bytes.
        offset: u64,
        /// Never empty.
        data: &'a [u8],
    },
    /// Cut or extend to `len` bytes.
    SetLen {
        /// The file changed.
        file: File,
        /// In bytes.
        len: u64,
    },
    /// Remove the file. Removing [`File::Database`] drops the database.
    Remove(File),
    /// `fsync` or `fdatasync`.
    Sync(File),
    /// The last open handle of the database file was released.
    Closed,
}
