use std::fs::File;
use std::path::Path;

use litefs_core::apply::{FileLocks, LockKind, LockRange};

use crate::apply::OfdLocks;

/// A lock of SQLite's that a test holds as a program would, until it is dropped.
#[derive(Debug)]
pub(super) struct HeldLock {
    file: OfdLocks,
    range: LockRange,
}

impl HeldLock {
    /// Takes a lock on `len` bytes of the file from `start` on, unless somebody is in the way.
    pub(super) fn take(path: &Path, start: u64, len: u64, kind: LockKind) -> Option<Self> {
        let (file, range) = (open(path), LockRange::new(start, len));
        file.try_lock(range, kind).unwrap().then_some(Self { file, range })
    }
}

impl Drop for HeldLock {
    /// Closing the file is not enough: a client that is being started has the open file too, for a moment.
    fn drop(&mut self) {
        self.file.release(self.range);
    }
}

/// Opens a file for its locks.
pub(super) fn open(path: &Path) -> OfdLocks {
    OfdLocks::new(File::options().read(true).write(true).open(path).unwrap())
}
