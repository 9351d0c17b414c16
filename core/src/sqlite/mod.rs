//! The files SQLite keeps for a database: the database itself, its rollback journal, its WAL and its wal-index.

pub mod header;
pub mod journal;
pub mod lock;
pub mod wal;
pub mod wal_index;
