//! Transactions that come from elsewhere: from the primary, or from a person who imports a database.

use alloc::vec::Vec;

use super::{Commit, Database, Received};
use crate::sqlite::wal::{WalChecksum, WalHeader};
use crate::{Checksum, Errno, PageNumber, PageSums, Position, Transaction, ltx};

/// Whether a received transaction fits the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It follows the database's position.
    Next,
    /// It replaces the database.
    Snapshot,
    /// The database has it already.
    Old,
}

/// Why a received transaction cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// It builds on another transaction than the last one here.
    #[error("transaction builds on {parent}, this database is at {local}: a snapshot is needed")]
    NotNext {
        /// What it builds on.
        parent: Position,
        /// The position of the database.
        local: Position,
    },
    /// Its pages do not lead to the checksum it claims.
    #[error("transaction {claimed} gives the database checksum {computed}: a snapshot is needed")]
    Checksum {
        /// The position it claims to lead to.
        claimed: Position,
        /// The checksum it leads to.
        computed: Checksum,
    },
    /// It has too few pages for the size it claims.
    #[error(
        "transaction of {pages} pages makes {after} pages of a database of {before}: it is damaged or forged"
    )]
    Growth {
        /// Pages it has.
        pages: usize,
        /// Pages of the database before it.
        before: u32,
        /// Pages of the database after it.
        after: u32,
    },
    /// A transaction of a local program is open, or a hot journal waits to be rolled back.
    #[error("the database has an open or interrupted transaction in its rollback journal")]
    ActiveJournal,
    /// The database takes no more changes.
    #[error("the database stopped: {0}")]
    Stopped(super::StopReason),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] Errno),
}

/// How the pages of a received transaction were written.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// Into the database file.
    Direct,
    /// Into the WAL, beside readers.
    Wal {
        /// The header of the WAL.
        header: WalHeader,
        /// Where the frame of each page begins, in bytes.
        frames: Vec<(PageNumber, u64)>,
        /// Where the last frame ends, in bytes.
        end: u64,
        /// The WAL's running checksum after it.
        chain: WalChecksum,
    },
}

impl Database {
    /// Whether a transaction with this header fits here.
    ///
    /// # Errors
    /// It does not, and why.
    pub fn admit(&self, header: &ltx::Header) -> Result<Admission, ApplyError> {
        if let Some(reason) = self.stopped {
            return Err(ApplyError::Stopped(reason));
        }
        if header.is_snapshot() {
            return Ok(Admission::Snapshot);
        }
        let parent = Position { txid: header.min_txid.prev(), checksum: header.pre_apply };
        if parent == self.position {
            return Ok(Admission::Next);
        }
        if header.max_txid <= self.position.txid {
            return Ok(Admission::Old);
        }
        Err(ApplyError::NotNext { parent, local: self.position })
    }

    /// Checks that a received transaction leads to the checksum it claims, before it enters the log.
    ///
    /// # Errors
    /// It does not, or the database cannot take it now.
    pub fn verify(&self, received: &Received) -> Result<(), ApplyError> {
        if self.rollback.journal_active {
            return Err(ApplyError::ActiveJournal);
        }
        let nothing = PageSums::default();
        let resized = self.page_size.is_some_and(|size| size != received.header.page_size);
        let before = if received.header.is_snapshot() || resized { &nothing } else { &self.sums };
        let (pages, after) = (received.sums.len(), received.header.commit);
        let max_growth = received.header.page_size.max_growth(pages);
        if u64::from(after) > u64::from(before.page_count()) + max_growth {
            return Err(ApplyError::Growth { pages, before: before.page_count(), after });
        }
        let computed = before.total_after(&received.sums, received.header.commit);
        if computed != received.post_apply {
            let claimed = Position { txid: received.header.max_txid, checksum: received.post_apply };
            return Err(ApplyError::Checksum { claimed, computed });
        }
        Ok(())
    }

    /// A received transaction is in the log and its pages are written.
    pub fn applied(&mut self, received: &Received, applied: Applied) {
        let resized = received.header.is_snapshot()
            || self.page_size.is_some_and(|size| size != received.header.page_size);
        let post_apply = received.post_apply;
        let outside_wal = self.outside_wal;
        if received.header.is_snapshot() {
            // What was durable before is of another history.
            self.wal_durable = Position::ZERO;
        }
        if received.header.commit == 0 {
            self.forget_content();
        }
        self.commit(Commit {
            transaction: Transaction { header: received.header, pages: Vec::new(), post_apply },
            page_size: received.header.page_size,
            journal_mode: received.journal_mode.unwrap_or(self.journal_mode),
            resized,
            sums: received.sums.clone(),
        });
        if received.header.commit == 0 {
            self.page_size = None;
        }
        match applied {
            // Nobody had the database open, or nobody could: what the WAL had was in the database file already.
            Applied::Direct => self.wal = None,
            Applied::Wal { header, frames, end, chain } => {
                if !received.header.is_snapshot() {
                    self.outside_wal = outside_wal;
                }
                self.adopt_wal(header, &frames, end, chain);
            }
        }
    }
}
