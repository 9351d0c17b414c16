use core::ops::Range;
use core::time::Duration;

use super::{ApplyError, Clock, FileIdentity, System, Trouble};
use crate::{Errno, File as Kind};

/// The system, with its answers put into words.
#[derive(Debug)]
pub(super) struct Context<S> {
    pub(super) system: S,
}

impl<S: System> Context<S> {
    pub(super) fn new(system: S) -> Self {
        Self { system }
    }

    /// Opens a file of the mount, to lock it.
    pub(super) fn open_in_mount(&self, kind: Kind) -> Result<S::Locks, ApplyError> {
        self.system.open_in_mount(kind).map_err(ApplyError::io("open in the mount", kind))
    }

    /// Opens the WAL or the wal-index in the mount and creates it where it is missing.
    pub(super) fn open_or_create_in_mount(&self, kind: Kind) -> Result<S::Locks, ApplyError> {
        match self.system.open_in_mount(kind) {
            Err(Errno::ENOENT) => {
                self.system.create_in_mount(kind).map_err(ApplyError::io("create in the mount", kind))
            }
            other => other.map_err(ApplyError::io("open in the mount", kind)),
        }
    }

    /// Opens a backing file.
    pub(super) fn open_backing(&self, kind: Kind) -> Result<S::File, ApplyError> {
        self.system.open_backing(kind).map_err(ApplyError::io("open", kind))
    }

    /// Opens the bytes of the wal-index that programs have mapped.
    pub(super) fn open_index(&self) -> Result<S::Index, ApplyError> {
        self.system.open_index().map_err(ApplyError::io("grow", Kind::Shm))
    }

    /// Makes the wal-index one that nobody takes for valid.
    pub(super) fn reset_index(&self) -> Result<(), ApplyError> {
        // The length that SQLite uses too: not empty, and too short.
        self.system.set_index_len(3).map_err(ApplyError::io("truncate", Kind::Shm))?;
        self.invalidate(Kind::Shm, 0..u64::MAX)
    }

    /// Puts bytes that were written to a backing file into the kernel's cache, or has them forgotten there.
    pub(super) fn store(&self, kind: Kind, offset: u64, bytes: &[u8]) -> Result<(), ApplyError> {
        self.system.store(kind, offset, bytes).map_err(ApplyError::io("update the cache of", kind))
    }

    pub(super) fn invalidate(&self, kind: Kind, range: Range<u64>) -> Result<(), ApplyError> {
        self.system.invalidate(kind, range).map_err(ApplyError::io("invalidate the cache of", kind))
    }

    /// Has programs see the length that a backing file has got. Call it while they are still kept from reading there.
    pub(super) fn resized(&self, kind: Kind) -> Result<(), ApplyError> {
        self.system.resized(kind).map_err(ApplyError::io("tell the kernel the size of", kind))
    }

    /// Makes the log durable, before the database file is written.
    pub(super) fn sync_log(&self) -> Result<(), ApplyError> {
        self.system.sync_log().map_err(ApplyError::io("sync the log in front of", Kind::Database))
    }

    /// Removes a backing file that may be missing.
    pub(super) fn remove(&self, kind: Kind) -> Result<(), ApplyError> {
        if self.system.remove_backing(kind).map_err(ApplyError::io("remove", kind))? {
            self.system.removed(kind).map_err(ApplyError::io("tell the kernel of the removal of", kind))?;
        }
        Ok(())
    }

    /// Which file the backing database is now, or `None` if there is none.
    pub(super) fn database_identity(&self) -> Result<Option<FileIdentity>, ApplyError> {
        self.system.database_identity().map_err(ApplyError::io("look at", Kind::Database))
    }

    /// Creates the database file, without content, and lets programs see it.
    pub(super) fn create_database(&self) -> Result<Option<FileIdentity>, ApplyError> {
        self.system.create_database().map_err(ApplyError::io("create", Kind::Database))?;
        self.system.created(Kind::Database).map_err(ApplyError::io("tell the kernel of", Kind::Database))?;
        self.database_identity()
    }

    /// Bytes in a backing file, none if it is missing.
    pub(super) fn backing_len(&self, kind: Kind) -> Result<u64, ApplyError> {
        let len = self.system.backing_len(kind).map_err(ApplyError::io("look at", kind))?;
        Ok(len.unwrap_or(0))
    }

    /// A random number, for something of a file.
    pub(super) fn random(&self, action: &'static str, kind: Kind) -> Result<u32, ApplyError> {
        self.system.random().map_err(ApplyError::io(action, kind))
    }

    pub(super) fn report(&self, trouble: Trouble<'_>) {
        self.system.report(trouble);
    }
}

impl<S: Clock> Clock for Context<S> {
    fn elapsed(&self) -> Duration {
        self.system.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        self.system.sleep(duration);
    }
}
