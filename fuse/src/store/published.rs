use std::sync::{Mutex, PoisonError};

use litefs_core::Position;
use litefs_core::database::{Database, JournalMode};

/// What others may know of a database without waiting for whoever is changing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The last transaction.
    pub position: Position,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Pages of the database.
    pub page_count: u32,
    /// Bytes in a page, zero while unknown.
    pub page_size: u32,
    /// How it keeps transactions undoable.
    pub journal_mode: JournalMode,
    /// The position that would survive a loss of power and can be sent to peers.
    pub durable: Position,
}

impl Facts {
    pub(super) fn of(database: &Database, durable: Position) -> Self {
        Self {
            position: database.position(),
            timestamp_ms: database.timestamp_ms(),
            page_count: database.page_count(),
            page_size: database.page_size().map_or(0, |size| size.get()),
            journal_mode: database.journal_mode(),
            durable,
        }
    }
}

/// A cell that is never locked for longer than a copy takes.
#[derive(Debug)]
pub(super) struct Published(Mutex<Facts>);

impl Published {
    pub(super) fn new(facts: Facts) -> Self {
        Self(Mutex::new(facts))
    }

    pub(super) fn get(&self) -> Facts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the facts and returns what they were.
    pub(super) fn replace(&self, facts: Facts) -> Facts {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), facts)
    }
}
