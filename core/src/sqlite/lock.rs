//! The bytes that SQLite locks: in the database file (SQLite file format 1.4) and in the wal-index (WAL-mode file
//! format 2.3).
//!
//! SQLite can be built or, for tests, told to put the first group elsewhere; nothing here follows it there.

/// In the database file: taken by a writer that waits for readers to finish, and for a moment by each new reader.
pub const PENDING_BYTE: u64 = 0x4000_0000;
/// In the database file: taken by the one connection that prepares to write in rollback mode.
pub const RESERVED_BYTE: u64 = PENDING_BYTE + 1;
/// In the database file: where the bytes that readers share, and a writer takes for itself, begin.
pub const SHARED_FIRST: u64 = PENDING_BYTE + 2;
/// How many bytes readers share.
pub const SHARED_LEN: u64 = 510;

/// In the wal-index: taken by the one connection that appends to the WAL.
pub const WRITE_BYTE: u64 = 120;
/// In the wal-index: taken by the one connection that copies frames to the database.
pub const CHECKPOINT_BYTE: u64 = 121;
/// In the wal-index: taken while it is rebuilt from the WAL.
pub const RECOVER_BYTE: u64 = 122;
/// In the wal-index: the first of [`READ_MARKS`] bytes, one for each mark that readers hold on to.
pub const READ_BYTES: u64 = 123;
/// How many marks the wal-index has for readers. Those who hold the first do not read from the WAL at all.
pub const READ_MARKS: u64 = 5;
/// In the wal-index: shared by all who have it mapped. Who gets it alone sets the file up anew.
pub const DMS_BYTE: u64 = 128;
