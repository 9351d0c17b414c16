use std::fs::File;

use litefs_core::Errno;
use litefs_core::sqlite::lock::{CHECKPOINT_BYTE, DMS_BYTE, READ_BYTES, RECOVER_BYTE, WRITE_BYTE};

use super::ofd_lock::{LockKind, LockRange, OfdLock, is_locked_by_others, try_lock, unlock};

/// SQLite's locks on the wal-index, each one byte of the file (WAL-mode file format 2.3).
#[derive(Debug)]
pub(super) struct ShmLock {
    file: File,
}

impl ShmLock {
    /// Nothing locked yet. `file` is open for reading and writing, in the mount. What is taken for long is released
    /// when the value is dropped.
    pub(super) fn new(file: File) -> Self {
        Self { file }
    }

    /// Takes the lock of those who have the wal-index mapped, alone; false if anybody else has it mapped.
    pub(super) fn only_user(&self) -> Result<bool, Errno> {
        try_lock(&self.file, byte(DMS_BYTE), LockKind::Write)
    }

    /// Whether anybody else has the wal-index mapped. Takes nothing.
    pub(super) fn has_users(&self) -> Result<bool, Errno> {
        is_locked_by_others(&self.file, byte(DMS_BYTE))
    }

    /// Takes the lock of those who have the wal-index mapped, as one of many; false while another sets it up.
    pub(super) fn user(&self) -> Result<bool, Errno> {
        try_lock(&self.file, byte(DMS_BYTE), LockKind::Read)
    }

    /// Keeps writers out until dropped.
    pub(super) fn write(&self) -> Result<bool, Errno> {
        try_lock(&self.file, byte(WRITE_BYTE), LockKind::Write)
    }

    /// Keeps checkpointers out until dropped.
    pub(super) fn checkpoint(&self) -> Result<bool, Errno> {
        try_lock(&self.file, byte(CHECKPOINT_BYTE), LockKind::Write)
    }

    /// Tells readers that the wal-index is being rebuilt.
    pub(super) fn recover(&self) -> Result<Option<OfdLock<'_>>, Errno> {
        OfdLock::acquire(&self.file, byte(RECOVER_BYTE), LockKind::Write)
    }

    /// Excludes the readers that hold the mark with this number, 0 to 4. A reader that finds all five taken fails, so
    /// this is to be held for microseconds, or for mark 0 alone.
    pub(super) fn readers(&self, mark: u64) -> Result<Option<OfdLock<'_>>, Errno> {
        OfdLock::acquire(&self.file, byte(READ_BYTES + mark), LockKind::Write)
    }

    /// Excludes all readers that read from the WAL, for microseconds.
    pub(super) fn wal_readers(&self) -> Result<Option<OfdLock<'_>>, Errno> {
        OfdLock::acquire(&self.file, LockRange::new(READ_BYTES + 1, 4), LockKind::Write)
    }

    /// Excludes all readers, for microseconds. New ones try again by themselves, the program is not told.
    pub(super) fn all_readers(&self) -> Result<Option<OfdLock<'_>>, Errno> {
        OfdLock::acquire(&self.file, LockRange::new(READ_BYTES, 5), LockKind::Write)
    }
}

impl Drop for ShmLock {
    /// Closing the file is not enough: a child process that is being started has the open file too, for a moment.
    fn drop(&mut self) {
        let all = LockRange::new(WRITE_BYTE, DMS_BYTE + 1 - WRITE_BYTE);
        if let Err(errno) = unlock(&self.file, all) {
            tracing::error!(%errno, "cannot release the locks on a wal-index");
        }
    }
}

const fn byte(start: u64) -> LockRange {
    LockRange::new(start, 1)
}
