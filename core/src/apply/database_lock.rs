use super::deadline::Deadline;
use super::{Clock, FileLocks, LockKind, LockRange};
use crate::Errno;
use crate::sqlite::lock::{PENDING_BYTE, RESERVED_BYTE, SHARED_FIRST, SHARED_LEN};

/// SQLite's lock on the database file, held like another SQLite connection would hold it.
///
/// A reader holds SHARED while it reads; in WAL mode, from its first read until it closes the database. A writer in
/// rollback mode takes RESERVED, PENDING to keep new readers out, and EXCLUSIVE once the last one has left.
#[derive(Debug)]
pub(super) struct DatabaseLock<L: FileLocks> {
    file: L,
    level: Level,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Level {
    Unlocked,
    Shared,
    Exclusive,
}

const PENDING: LockRange = LockRange::new(PENDING_BYTE, 1);
const RESERVED: LockRange = LockRange::new(RESERVED_BYTE, 1);
const SHARED: LockRange = LockRange::new(SHARED_FIRST, SHARED_LEN);
/// The three are neighbours, so one call can take them all or none.
const ALL: LockRange = LockRange::new(PENDING_BYTE, SHARED_FIRST + SHARED_LEN - PENDING_BYTE);

impl<L: FileLocks> DatabaseLock<L> {
    /// Not locked yet. `file` is open for reading and writing, in the mount.
    pub(super) fn new(file: L) -> Self {
        Self { file, level: Level::Unlocked }
    }

    /// Takes SHARED unless that or more is held; false when the deadline came first.
    pub(super) fn shared(&mut self, clock: &impl Clock, deadline: Deadline) -> Result<bool, Errno> {
        if self.level != Level::Unlocked {
            return Ok(true);
        }
        let locked = deadline.wait_for(clock, || {
            // A reader passes through PENDING, so that a waiting writer can keep it out.
            if !self.file.try_lock(PENDING, LockKind::Read)? {
                return Ok(false);
            }
            let locked = self.file.try_lock(SHARED, LockKind::Read);
            self.file.unlock(PENDING)?;
            locked
        })?;
        if locked {
            self.level = Level::Shared;
        }
        Ok(locked)
    }

    /// Takes EXCLUSIVE if nobody else holds any lock; false, and nothing has changed, if somebody does.
    pub(super) fn try_exclusive(&mut self) -> Result<bool, Errno> {
        if self.level != Level::Exclusive && self.file.try_lock(ALL, LockKind::Write)? {
            self.level = Level::Exclusive;
        }
        Ok(self.level == Level::Exclusive)
    }

    /// Takes EXCLUSIVE, keeping new readers out while the present ones finish; false when the deadline came first.
    ///
    /// SHARED may be given up on the way, also when it fails: what was found out under it has to be looked at again.
    pub(super) fn exclusive(&mut self, clock: &impl Clock, deadline: Deadline) -> Result<bool, Errno> {
        if self.try_exclusive()? {
            return Ok(true);
        }
        if !self.file.try_lock(RESERVED, LockKind::Write)? {
            // Another connection is in a write transaction: to commit it, it waits until nobody holds SHARED.
            self.unlock()?;
            let file = &self.file;
            if !deadline.wait_for(clock, || file.try_lock(RESERVED, LockKind::Write))? {
                return Ok(false);
            }
        }
        let file = &self.file;
        for range in [PENDING, SHARED] {
            if !deadline.wait_for(clock, || file.try_lock(range, LockKind::Write))? {
                self.drop_writer_locks()?;
                return Ok(false);
            }
        }
        self.level = Level::Exclusive;
        Ok(true)
    }

    /// Goes back from EXCLUSIVE to SHARED, without a moment in between at which nothing is held.
    pub(super) fn downgrade(&mut self) -> Result<(), Errno> {
        if self.level == Level::Exclusive {
            self.file.try_lock(SHARED, LockKind::Read)?;
            self.drop_writer_locks()?;
            self.level = Level::Shared;
        }
        Ok(())
    }

    /// Whether another connection is in a write transaction in rollback mode.
    pub(super) fn is_reserved(&self) -> Result<bool, Errno> {
        self.file.is_locked_by_others(RESERVED)
    }

    pub(super) fn unlock(&mut self) -> Result<(), Errno> {
        self.file.unlock(ALL)?;
        self.level = Level::Unlocked;
        Ok(())
    }

    fn drop_writer_locks(&self) -> Result<(), Errno> {
        self.file.unlock(LockRange::new(PENDING_BYTE, SHARED_FIRST - PENDING_BYTE))
    }
}

impl<L: FileLocks> Drop for DatabaseLock<L> {
    /// Closing the file is not enough: a child process that is being started has the open file too, for a moment.
    fn drop(&mut self) {
        self.file.release(ALL);
    }
}
