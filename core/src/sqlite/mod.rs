//! The files SQLite keeps for a database: the database itself, its rollback journal, its WAL and its wal-index.

pub mod lock;
pub mod wal;
