use std::sync::atomic::{AtomicU64, Ordering};

use litefs_core::File;
use litefs_core::database::Request;

/// What happened to a database since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Writes to the database file that went through the daemon.
    pub database_writes: u64,
    /// Writes to the rollback journal.
    pub journal_writes: u64,
    /// Writes to the WAL.
    pub wal_writes: u64,
    /// Writes to the wal-index that went through the daemon.
    pub shm_writes: u64,
    /// Transactions that were committed here.
    pub commits: u64,
    /// Segments of the log that retention removed.
    pub segments_removed: u64,
    /// Milliseconds between the commit of the last received transaction on the primary and now being applied here.
    pub lag_ms: u64,
}

/// Counts as they go up.
#[derive(Debug, Default)]
pub(super) struct Counters {
    database_writes: AtomicU64,
    journal_writes: AtomicU64,
    wal_writes: AtomicU64,
    shm_writes: AtomicU64,
    commits: AtomicU64,
    segments_removed: AtomicU64,
    lag_ms: AtomicU64,
}

impl Counters {
    pub(super) fn requested(&self, request: &Request<'_>) {
        let Request::Write { file, .. } = request else { return };
        let writes = match file {
            File::Database => &self.database_writes,
            File::Journal => &self.journal_writes,
            File::Wal => &self.wal_writes,
            File::Shm => &self.shm_writes,
            File::Segment(_) | File::Sums | File::SumsNew | File::Unjournaled => return,
        };
        writes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.lag_ms.store(0, Ordering::Relaxed);
    }

    pub(super) fn removed(&self, segments: usize) {
        self.segments_removed.fetch_add(segments as u64, Ordering::Relaxed);
    }

    pub(super) fn received(&self, lag_ms: i64) {
        self.lag_ms.store(lag_ms.max(0).unsigned_abs(), Ordering::Relaxed);
    }

    pub(super) fn all(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            database_writes: get(&self.database_writes),
            journal_writes: get(&self.journal_writes),
            wal_writes: get(&self.wal_writes),
            shm_writes: get(&self.shm_writes),
            commits: get(&self.commits),
            segments_removed: get(&self.segments_removed),
            lag_ms: get(&self.lag_ms),
        }
    }
}
