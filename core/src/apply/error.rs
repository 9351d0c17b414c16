use core::fmt;

use super::PagesError;
use crate::{Errno, File, PageNumber};

/// A lock of SQLite's that has to be waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lock {
    /// SHARED on the database file: another process is committing in rollback mode.
    Shared,
    /// EXCLUSIVE on the database file: readers in rollback mode are in a transaction.
    Exclusive,
    /// The wal-index lock of writers or checkpointers.
    Write,
    /// The wal-index is being set up by another connection.
    WalIndex,
    /// Readers hold on to the WAL, which a change of the page size has to empty first.
    Readers,
    /// The database was deleted, and another one has taken its name.
    Replaced,
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => "a process is committing to the database file",
            Self::Exclusive => "a process is in a transaction on the database file",
            Self::Write => "a process is writing to the WAL or checkpointing it",
            Self::WalIndex => "a process is setting up the wal-index",
            Self::Readers => "readers keep the WAL from being emptied, as a new page size needs",
            Self::Replaced => "a process is replacing it",
        })
    }
}

/// Why a transaction was not applied. Unless the variant says otherwise, readers go on seeing the state before.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A lock was not to be had in time. Try again later.
    #[error("the database is busy: {0}")]
    Busy(Lock),
    /// A transaction was interrupted and its journal has not been rolled back.
    #[error("the database has a hot journal, which must be rolled back first")]
    HotJournal,
    /// A file could not be read or changed.
    #[error("cannot {action} the {file:?} file: {errno}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        file: File,
        /// What the system answered.
        errno: Errno,
    },
    /// The page source failed.
    #[error("cannot get the pages of the transaction")]
    Pages(#[source] PagesError),
    /// A page has another length than the transaction says.
    #[error("page {page} has {found} bytes, expected {expected}")]
    PageLength {
        /// The page.
        page: PageNumber,
        /// Bytes given.
        found: usize,
        /// Bytes in a page.
        expected: usize,
    },
    /// Pages are out of order.
    #[error("page {page} comes after page {last}, expected ascending numbers")]
    PageOrder {
        /// The page.
        page: PageNumber,
        /// The page before it.
        last: PageNumber,
    },
    /// A page lies outside of the database.
    #[error("page {page} is beyond the {commit} pages of the database")]
    PageBeyondCommit {
        /// The page.
        page: PageNumber,
        /// Pages in the database after the transaction.
        commit: u32,
    },
    /// The page that holds SQLite's lock bytes never has content.
    #[error("page {page} is the lock page, which no transaction has")]
    LockPage {
        /// The page.
        page: PageNumber,
    },
    /// A snapshot or a change of the page size lacks pages.
    #[error("the transaction has {found} pages, but replaces a database of {expected}")]
    Incomplete {
        /// Pages given.
        found: u32,
        /// Pages there must be.
        expected: u32,
    },
    /// The wal-index contradicts itself. Whoever opens the database first after all have closed it rebuilds it.
    #[error("the wal-index is damaged: block {block} has no room for frame {frame}")]
    WalIndex {
        /// The 32 KiB block, from 0.
        block: usize,
        /// The frame that should go there, from 1.
        frame: u32,
    },
    /// A transaction that was accepted is not whole in the WAL any more.
    #[error("the WAL was accepted up to byte {accepted_end}, but is valid only up to {found_end}")]
    InDoubtLost {
        /// Where the accepted frames end, in bytes.
        accepted_end: u64,
        /// Where the valid frames end, in bytes.
        found_end: u64,
    },
}

impl ApplyError {
    /// Whether it is likely to succeed once somebody has made room on the disk.
    pub fn is_for_want_of_space(&self) -> bool {
        matches!(self, Self::Io { errno: Errno::ENOSPC | Errno::EDQUOT, .. })
    }

    /// For `map_err`: what was tried on which file.
    pub(super) fn io(action: &'static str, file: File) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Io { action, file, errno }
    }
}
