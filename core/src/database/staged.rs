use alloc::boxed::Box;
use alloc::vec::Vec;

use super::JournalMode;
use super::wal_capture::Advance;
use crate::sqlite::wal::WalHeader;
use crate::{Checksum, PageNumber, PageSize, Position, Transaction};

/// What a request will change in the machine once its effects are done.
#[derive(Debug, PartialEq)]
pub(super) enum Staged {
    /// Nothing.
    Nothing,
    /// A write to the WAL, and the transaction it completes.
    WalWrite(Advance, Option<Box<Commit>>),
    /// The WAL has a new header; before it, what was changed without a journal is committed.
    WalHeader(Option<WalHeader>, Option<Box<Commit>>),
    /// The WAL is gone or empty.
    WalGone,
    /// The WAL is empty, and a journal begins.
    JournalAfterWal,
    /// What is committed now is durable, through the WAL unless its sync failed.
    WalSynced(Position),
    /// The journal and its name are durable.
    JournalSynced,
    /// The operation that ends a transaction in rollback mode, and the transaction if anything changed.
    JournalEnd(Option<Box<Commit>>),
    /// A journal that was not ended makes room for the next one, and its transaction if anything changed.
    JournalReplaced(Option<Box<Commit>>),
    /// Changes made without a journal, as one transaction if there are any.
    Unjournaled(Option<Box<Commit>>),
    /// The database is gone.
    Dropped(Option<Box<Transaction>>),
}

/// A transaction about to be committed, with what it changes in the machine.
#[derive(Debug, PartialEq)]
pub(super) struct Commit {
    /// Without its pages where it came from elsewhere.
    pub(super) transaction: Transaction,
    pub(super) page_size: PageSize,
    pub(super) journal_mode: JournalMode,
    /// The pages have another size than before: all old checksums are void.
    pub(super) resized: bool,
    pub(super) sums: Vec<(PageNumber, Checksum)>,
}
