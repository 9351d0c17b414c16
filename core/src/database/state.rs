use super::JournalMode;
use crate::{PageSize, PageSums, Position};

/// Everything a database's machine remembers while nobody uses it.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Bytes in a page, once known.
    pub page_size: Option<PageSize>,
    /// How SQLite keeps transactions undoable.
    pub journal_mode: JournalMode,
    /// The last transaction.
    pub position: Position,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The checksums of all pages.
    pub sums: PageSums,
}

impl State {
    /// A database that was never written.
    pub fn empty() -> Self {
        Self {
            page_size: None,
            journal_mode: JournalMode::Rollback,
            position: Position::ZERO,
            timestamp_ms: 0,
            sums: PageSums::default(),
        }
    }
}
