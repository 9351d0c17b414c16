use litefs_core::{Position, Txid};

/// Facts about one database for `litefs status`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DatabaseStatus {
    /// Where it is.
    pub position: Position,
    /// Bytes in a page, 0 if nothing was written yet.
    pub page_size: u32,
    /// Pages in the database.
    pub pages: u32,
    /// The oldest and the newest transaction in the log, if there is one.
    pub log: Option<(Txid, Txid)>,
    /// Bytes in the log.
    pub log_bytes: u64,
    /// Milliseconds between the commit of the last transaction and its application here; 0 after a local commit.
    pub lag_ms: u64,
    /// What happened since the node started.
    pub counts: DatabaseCounts,
}

/// What happened to a database since the node started, for `/metrics`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DatabaseCounts {
    /// Writes to the database file, by SQLite and by the daemon.
    pub database_writes: u64,
    /// Writes to the rollback journal.
    pub journal_writes: u64,
    /// Writes to the write-ahead log.
    pub wal_writes: u64,
    /// Writes to the wal-index that went through the daemon.
    pub shm_writes: u64,
    /// Transactions that were committed on this node.
    pub commits: u64,
    /// Transactions in the log now.
    pub ltx_files: u64,
    /// Transactions that retention removed from the log.
    pub ltx_reaped: u64,
}
