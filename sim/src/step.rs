use litefs_core::File;

use crate::machine_disk::Path;
use crate::node::DiskChange;
use crate::rng::Rng;

/// What a disk operation is for, as far as its file and kind tell, so that a fault can be aimed at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something is appended to the log.
    LogAppend,
    /// The log is synced.
    LogSync,
    /// A segment is begun or cut.
    LogCut,
    /// A segment is removed.
    LogRemove,
    /// The WAL's header is written.
    WalBegin,
    /// A frame is written, or a part of one.
    WalWrite,
    /// The WAL is synced.
    WalSync,
    /// The WAL is emptied or removed.
    WalEnd,
    /// Something is added to the journal.
    JournalWrite,
    /// The journal is synced.
    JournalSync,
    /// The journal is emptied, removed or begun.
    JournalEnd,
    /// A page is written to the database file.
    DatabaseWrite,
    /// The database file is cut or extended.
    DatabaseCut,
    /// The database file is synced.
    DatabaseSync,
    /// The page checksums are saved, up to the sync of their file.
    SumsWrite,
    /// The saved page checksums get their name.
    SumsRename,
    /// The directory is synced.
    DirectorySync,
    /// A file that nobody governs changes, as a super-journal.
    Plain,
    /// Anything else.
    Other,
}

/// Those that a fault is aimed at.
const TARGETS: [Step; 18] = [
    Step::LogAppend,
    Step::LogSync,
    Step::LogCut,
    Step::LogRemove,
    Step::WalBegin,
    Step::WalWrite,
    Step::WalSync,
    Step::WalEnd,
    Step::JournalWrite,
    Step::JournalSync,
    Step::JournalEnd,
    Step::DatabaseWrite,
    Step::DatabaseCut,
    Step::DatabaseSync,
    Step::SumsWrite,
    Step::SumsRename,
    Step::DirectorySync,
    Step::Plain,
];

/// Those that make something durable.
const SYNCS: [Step; 5] =
    [Step::LogSync, Step::WalSync, Step::JournalSync, Step::DatabaseSync, Step::DirectorySync];

impl Step {
    /// What `change` of the file at `path` is for.
    pub(crate) fn of(path: &Path, change: DiskChange<'_>) -> Self {
        if matches!(change, DiskChange::SyncDirectory) {
            return Self::DirectorySync;
        }
        let Path::Governed(_, file) = path else { return Self::Plain };
        match (file, change) {
            (File::Segment(_), DiskChange::Write { .. }) => Self::LogAppend,
            (File::Segment(_), DiskChange::Sync) => Self::LogSync,
            (File::Segment(_), DiskChange::Remove) => Self::LogRemove,
            (File::Segment(_), _) => Self::LogCut,
            (File::Wal, DiskChange::Write { offset: 0, .. }) => Self::WalBegin,
            (File::Wal, DiskChange::Write { .. }) => Self::WalWrite,
            (File::Wal, DiskChange::Sync) => Self::WalSync,
            (File::Wal, _) => Self::WalEnd,
            (File::Journal, DiskChange::Write { .. }) => Self::JournalWrite,
            (File::Journal, DiskChange::Sync) => Self::JournalSync,
            (File::Journal, _) => Self::JournalEnd,
            (File::Database, DiskChange::Write { .. }) => Self::DatabaseWrite,
            (File::Database, DiskChange::Sync) => Self::DatabaseSync,
            (File::Database, _) => Self::DatabaseCut,
            (File::Sums | File::SumsNew, DiskChange::Rename(_)) => Self::SumsRename,
            (File::Sums | File::SumsNew, _) => Self::SumsWrite,
            (File::Shm | File::Unjournaled, _) => Self::Other,
        }
    }

    /// One of them.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        rng.pick(&TARGETS)
    }

    /// One that makes something durable.
    pub(crate) fn draw_sync(rng: &mut Rng) -> Self {
        rng.pick(&SYNCS)
    }
}
