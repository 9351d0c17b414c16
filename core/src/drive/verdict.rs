use alloc::vec::Vec;

use crate::log::Damage;
use crate::{Checksum, PageNumber, Position, Txid, ltx};

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Where the log ends.
    pub position: Position,
    /// The oldest transaction that can be sent to a peer, if any.
    pub first: Option<Txid>,
    /// LTX files in the log.
    pub files: usize,
    /// Bytes of the log.
    pub log_len: u64,
    /// Pages of the database.
    pub page_count: u32,
    /// What is left over from a crash, which the next start puts in order.
    pub unfinished: Vec<Unfinished>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// What the next start has to do, without any harm to the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    /// A transaction was interrupted.
    #[error("an interrupted transaction is rolled back")]
    Journal,
    /// The last append was interrupted.
    #[error("{bytes} bytes of an incomplete transaction are cut off the log")]
    Append {
        /// Bytes after the last whole entry.
        bytes: u64,
    },
    /// The WAL has transactions.
    #[error("{transactions} transactions in the WAL are looked at")]
    Wal {
        /// How many.
        transactions: usize,
    },
    /// The database file has, or may have, changes that no transaction has.
    #[error(
        "what was written to the database file without a journal becomes a transaction; it is not checked"
    )]
    Unjournaled,
    /// There is no log.
    #[error("the database has no log, and all of it becomes its first transaction; it is not checked")]
    NoLog,
}

/// What is wrong with a database.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Finding {
    /// A part of a segment cannot be read.
    #[error(
        "segment {:016x} of the log is damaged at byte {}: transactions before it cannot be sent to peers any more; a \
         peer that needs them gets a snapshot",
        .0.segment,
        .0.offset
    )]
    Segment(Damage),
    /// An LTX file is damaged.
    #[error("transaction {min_txid} in the log is damaged: {reason}; a replica has it, or a backup")]
    Transaction {
        /// Its first transaction.
        min_txid: Txid,
        /// What is wrong.
        reason: ltx::DecodeError,
    },
    /// An LTX file leads elsewhere than its place in the log says.
    #[error("transaction {} in the log leads to {found}, its place says {}", .expected.txid, .expected)]
    Place {
        /// What the log's index says.
        expected: Position,
        /// What the file says.
        found: Position,
    },
    /// Transactions are missing at the end of the log.
    #[error("the log ends at {end}, the database was at {saved}: restore it from a replica or a backup")]
    Lost {
        /// Where the log ends.
        end: Position,
        /// Where the database was when the page checksums were saved.
        saved: Position,
    },
    /// The saved checksums cannot be used.
    #[error("the saved page checksums are damaged; the next start reads the whole database instead")]
    Sums,
    /// The checksums do not add up.
    #[error(
        "the page checksums give {found}, the log ends at {expected}; restore the database from a replica or a backup"
    )]
    Total {
        /// Where the log ends.
        expected: Position,
        /// What the checksums of the pages give.
        found: Checksum,
    },
    /// Pages of the database file are not what they should be.
    #[error(
        "page {page} of the database file has checksum {found}, it should be {expected}{}: the file was damaged or \
         changed from outside; restore it from a replica or a backup",
        More(*more)
    )]
    Page {
        /// The first of them.
        page: PageNumber,
        /// Its checksum.
        found: Checksum,
        /// What it should be.
        expected: Checksum,
        /// Further pages like this.
        more: usize,
    },
}

struct More(usize);

impl core::fmt::Display for More {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, ", and so have {} more pages theirs", self.0) }
    }
}
