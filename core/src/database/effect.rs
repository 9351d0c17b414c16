use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::{File, PageNumber, Transaction};

/// One step of carrying out a request. The drive loop performs the steps in order and stops at the first that fails.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Do to the file what the request says.
    Perform,
    /// Do to the file what the request says, if it can be done: it does not matter, and the program would take an error
    /// for one of a transaction that is committed.
    PerformIfPossible,
    /// Write to the WAL what the request does not say.
    WriteWal {
        /// In bytes.
        offset: u64,
        /// What is written.
        data: Vec<u8>,
    },
    /// Leave a durable mark that the database file is about to be written without a journal.
    MarkUnjournaled,
    /// Append all captured transactions that are not in the log yet.
    AppendPending,
    /// Append this transaction to the log.
    Append(Box<Transaction>),
    /// Note that all of the WAL is in the log, after a transaction that is not of the WAL.
    MarkWal,
    /// A WAL with these salts is about to begin. Should the log have transactions of another one with the same, note
    /// that it has none of this one, durably.
    BeginWal([u32; 2]),
    /// Make the log durable.
    SyncLog,
    /// Make what is committed in the WAL durable: by syncing the WAL or, if that fails, the log.
    SyncWal,
    /// Make a file durable.
    Sync(File),
    /// Cut a file to nothing.
    Empty(File),
    /// Remove a file.
    Remove(File),
    /// Make created and removed files durable.
    SyncDirectory,
    /// Copy the pages of these WAL frames into the database file.
    Backfill(Vec<(PageNumber, u64)>),
}
