use super::file_locks::HeldLock;
use super::{FileLocks, LockKind, LockRange};
use crate::Errno;
use crate::sqlite::lock::{CHECKPOINT_BYTE, DMS_BYTE, READ_BYTES, READ_MARKS, RECOVER_BYTE, WRITE_BYTE};

/// SQLite's locks on the wal-index, each one byte of the file (WAL-mode file format 2.3).
#[derive(Debug)]
pub(super) struct ShmLock<L: FileLocks> {
    file: L,
}

impl<L: FileLocks> ShmLock<L> {
    /// Nothing locked yet. `file` is open for reading and writing, in the mount. What is taken for long is released
    /// when the value is dropped.
    pub(super) fn new(file: L) -> Self {
        Self { file }
    }

    /// Takes the lock of those who have the wal-index mapped, alone; false if anybody else has it mapped.
    pub(super) fn only_user(&self) -> Result<bool, Errno> {
        self.file.try_lock(byte(DMS_BYTE), LockKind::Write)
    }

    /// Whether anybody else has the wal-index mapped. Takes nothing.
    pub(super) fn has_users(&self) -> Result<bool, Errno> {
        self.file.is_locked_by_others(byte(DMS_BYTE))
    }

    /// Takes the lock of those who have the wal-index mapped, as one of many; false while another sets it up.
    pub(super) fn user(&self) -> Result<bool, Errno> {
        self.file.try_lock(byte(DMS_BYTE), LockKind::Read)
    }

    /// Keeps writers out until dropped.
    pub(super) fn write(&self) -> Result<bool, Errno> {
        self.file.try_lock(byte(WRITE_BYTE), LockKind::Write)
    }

    /// Keeps checkpointers out until dropped.
    pub(super) fn checkpoint(&self) -> Result<bool, Errno> {
        self.file.try_lock(byte(CHECKPOINT_BYTE), LockKind::Write)
    }

    /// Tells readers that the wal-index is being rebuilt.
    pub(super) fn recover(&self) -> Result<Option<HeldLock<'_, L>>, Errno> {
        HeldLock::acquire(&self.file, byte(RECOVER_BYTE), LockKind::Write)
    }

    /// Excludes the readers that hold the mark with this number, 0 to 4. A reader that finds all five taken fails, so
    /// this is to be held for microseconds, or for mark 0 alone.
    pub(super) fn readers(&self, mark: u64) -> Result<Option<HeldLock<'_, L>>, Errno> {
        HeldLock::acquire(&self.file, byte(READ_BYTES + mark), LockKind::Write)
    }

    /// Excludes all readers that read from the WAL, for microseconds.
    pub(super) fn wal_readers(&self) -> Result<Option<HeldLock<'_, L>>, Errno> {
        HeldLock::acquire(&self.file, LockRange::new(READ_BYTES + 1, READ_MARKS - 1), LockKind::Write)
    }

    /// Excludes all readers, for microseconds. New ones try again by themselves, the program is not told.
    pub(super) fn all_readers(&self) -> Result<Option<HeldLock<'_, L>>, Errno> {
        HeldLock::acquire(&self.file, LockRange::new(READ_BYTES, READ_MARKS), LockKind::Write)
    }
}

impl<L: FileLocks> Drop for ShmLock<L> {
    /// Closing the file is not enough: a child process that is being started has the open file too, for a moment.
    fn drop(&mut self) {
        let all = LockRange::new(WRITE_BYTE, DMS_BYTE + 1 - WRITE_BYTE);
        self.file.release(all);
    }
}

const fn byte(start: u64) -> LockRange {
    LockRange::new(start, 1)
}
