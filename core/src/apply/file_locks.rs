use core::fmt::Debug;

use crate::Errno;

/// Locks on ranges of bytes that belong to an open file: another open file of the same program is somebody else.
///
/// They conflict with the locks that SQLite takes in other processes. All that are left go when the file is closed.
pub trait FileLocks: Debug {
    /// Takes a lock on the whole range at once, or changes the kind of those held there; false when another open file
    /// holds one in conflict, and then nothing has changed.
    ///
    /// # Errors
    /// What the kernel answered, other than a conflict.
    fn try_lock(&self, range: LockRange, kind: LockKind) -> Result<bool, Errno>;

    /// Gives up whatever this open file has locked in the range.
    ///
    /// # Errors
    /// What the kernel answered.
    fn unlock(&self, range: LockRange) -> Result<(), Errno>;

    /// As [`Self::unlock`], where nobody is there who could do anything about an error but the operator.
    fn release(&self, range: LockRange);

    /// Whether [`Self::try_lock`] for writing would fail now. Takes nothing.
    ///
    /// # Errors
    /// What the kernel answered.
    fn is_locked_by_others(&self, range: LockRange) -> Result<bool, Errno>;
}

/// Bytes of a file that a lock covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LockRange {
    /// The first byte.
    pub start: u64,
    /// How many bytes, at least 1.
    pub len: u64,
}

impl LockRange {
    /// The range of `len` bytes from `start` on.
    pub const fn new(start: u64, len: u64) -> Self {
        Self { start, len }
    }
}

/// Whether others may hold the same kind of lock at the same time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LockKind {
    /// Others may read-lock too. Needs a handle open for reading.
    Read,
    /// Nobody else may hold any lock. Needs a handle open for writing.
    Write,
}

/// A lock that ends with the value. For a lock that lives as long as its file, call [`FileLocks::try_lock`] and close
/// the file.
#[derive(Debug)]
pub(super) struct HeldLock<'f, L: FileLocks> {
    file: &'f L,
    range: LockRange,
}

impl<'f, L: FileLocks> HeldLock<'f, L> {
    /// The lock, or `None` when another open file holds one in conflict with it.
    pub(super) fn acquire(file: &'f L, range: LockRange, kind: LockKind) -> Result<Option<Self>, Errno> {
        Ok(file.try_lock(range, kind)?.then_some(Self { file, range }))
    }
}

impl<L: FileLocks> Drop for HeldLock<'_, L> {
    fn drop(&mut self) {
        self.file.release(self.range);
    }
}
