use crate::sqlite::header::DatabaseHeader;

/// How SQLite keeps a transaction undoable, as page 1 of the database says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalMode {
    /// With a rollback journal, in any of its forms.
    Rollback,
    /// With a write-ahead log.
    Wal,
}

impl JournalMode {
    /// What the header of the database says.
    pub fn of(header: &DatabaseHeader) -> Self {
        if header.is_wal() { Self::Wal } else { Self::Rollback }
    }
}
