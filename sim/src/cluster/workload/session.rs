use rusqlite::{Connection, Error};

use super::super::checks::{Began, Head};

/// A connection of a program.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    /// The databases it has open.
    pub(super) open: Vec<Open>,
    /// What their names stood for then.
    pub(super) inodes: Vec<Option<u64>>,
    /// The transaction that it reads in for long.
    pub(super) reading: Option<Reading>,
    /// Its transactions have no journal on the disk.
    pub(super) unjournaled: bool,
}

/// A database as a connection has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// What the connection calls it.
    pub(super) schema: &'static str,
    /// The name of its file.
    pub(super) database: &'static str,
}

/// A transaction that only reads.
#[derive(Debug)]
pub(super) struct Reading {
    /// When it ends, in virtual nanoseconds.
    pub(super) until_ns: u64,
    /// What it found, which must not change.
    pub(super) found: Vec<Found>,
}

/// What a transaction found in a database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) open: Open,
    /// What held before it began.
    pub(super) began: Began,
    pub(super) head: Head,
}

impl Session {
    /// Ends what is left of a transaction.
    pub(super) fn roll_back(&mut self) -> Option<Result<(), Error>> {
        self.reading = None;
        (!self.connection.is_autocommit()).then(|| self.connection.execute_batch("ROLLBACK"))
    }
}
