use std::fs::File;

use litefs_core::Errno;
use litefs_core::sqlite::lock::{PENDING_BYTE, RESERVED_BYTE, SHARED_FIRST, SHARED_LEN};

use super::deadline::Deadline;
use super::ofd_lock::{LockKind, LockRange, is_locked_by_others, try_lock, unlock};

/// SQLite's lock on the database file, held like another SQLite connection would hold it.
///
/// A reader holds SHARED while it reads; in WAL mode, from its first read until it closes the database. A writer in
/// rollback mode takes RESERVED, PENDING to keep new readers out, and EXCLUSIVE once the last one has left.
#[derive(Debug)]
pub(super) struct DatabaseLock {
    file: File,
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

impl DatabaseLock {
    /// Not locked yet. `file` is open for reading and writing, in the mount.
    pub(super) fn new(file: File) -> Self {
        Self { file, level: Level::Unlocked }
    }

    /// Takes SHARED unless that or more is held; false when the deadline came first.
    pub(super) fn shared(&mut self, deadline: Deadline) -> Result<bool, Errno> {
        if self.level != Level::Unlocked {
            return Ok(true);
        }
        let locked = deadline.wait_for(|| {
            // A reader passes through PENDING, so that a waiting writer can keep it out.
            if !try_lock(&self.file, PENDING, LockKind::Read)? {
                return Ok(false);
            }
            let locked = try_lock(&self.file, SHARED, LockKind::Read);
            unlock(&self.file, PENDING)?;
            locked
        })?;
        if locked {
            self.level = Level::Shared;
        }
        Ok(locked)
    }

    /// Takes EXCLUSIVE if nobody else holds any lock; false, and nothing has changed, if somebody does.
    pub(super) fn try_exclusive(&mut self) -> Result<bool, Errno> {
        if self.level != Level::Exclusive && try_lock(&self.file, ALL, LockKind::Write)? {
            self.level = Level::Exclusive;
        }
        Ok(self.level == Level::Exclusive)
    }

    /// Takes EXCLUSIVE, keeping new readers out while the present ones finish; false when the deadline came first.
    ///
    /// SHARED may be given up on the way, also when it fails: what was found out under it has to be looked at again.
    pub(super) fn exclusive(&mut self, deadline: Deadline) -> Result<bool, Errno> {
        if self.try_exclusive()? {
            return Ok(true);
        }
        if !try_lock(&self.file, RESERVED, LockKind::Write)? {
            // Another connection is in a write transaction: to commit it, it waits until nobody holds SHARED.
            self.unlock()?;
            let file = &self.file;
            if !deadline.wait_for(|| try_lock(file, RESERVED, LockKind::Write))? {
                return Ok(false);
            }
        }
        let file = &self.file;
        for range in [PENDING, SHARED] {
            if !deadline.wait_for(|| try_lock(file, range, LockKind::Write))? {
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
            try_lock(&self.file, SHARED, LockKind::Read)?;
            self.drop_writer_locks()?;
            self.level = Level::Shared;
        }
        Ok(())
    }

    /// Whether another connection is in a write transaction in rollback mode.
    pub(super) fn is_reserved(&self) -> Result<bool, Errno> {
        is_locked_by_others(&self.file, RESERVED)
    }

    pub(super) fn unlock(&mut self) -> Result<(), Errno> {
        unlock(&self.file, ALL)?;
        self.level = Level::Unlocked;
        Ok(())
    }

    fn drop_writer_locks(&self) -> Result<(), Errno> {
        unlock(&self.file, LockRange::new(PENDING_BYTE, SHARED_FIRST - PENDING_BYTE))
    }
}

impl Drop for DatabaseLock {
    /// Closing the file is not enough: a child process that is being started has the open file too, for a moment.
    fn drop(&mut self) {
        if let Err(errno) = self.unlock() {
            tracing::error!(%errno, "cannot release the locks on a database");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn locks() -> (tempfile::TempDir, DatabaseLock, DatabaseLock) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let open =
            || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        let (one, two) = (DatabaseLock::new(open()), DatabaseLock::new(open()));
        (dir, one, two)
    }

    fn now() -> Deadline {
        Deadline::after(Duration::ZERO)
    }

    #[test]
    fn exclusive_needs_every_reader_to_be_gone_and_leaves_no_trace_when_it_fails() {
        let (_dir, mut one, mut two) = locks();
        assert!(one.shared(now()).unwrap());
        assert!(two.shared(now()).unwrap());
        assert!(!one.try_exclusive().unwrap());
        assert!(!one.exclusive(now()).unwrap());
        two.unlock().unwrap();
        assert!(two.shared(now()).unwrap(), "a failed attempt kept PENDING");
        two.unlock().unwrap();
        assert!(one.exclusive(now()).unwrap());
        assert!(!two.shared(now()).unwrap());
        one.downgrade().unwrap();
        assert!(two.shared(now()).unwrap());
    }

    #[test]
    fn waiting_for_a_writer_does_not_keep_it_from_committing() {
        let (_dir, mut program, mut one) = locks();
        assert!(program.shared(now()).unwrap());
        assert!(try_lock(&program.file, RESERVED, LockKind::Write).unwrap());
        assert!(one.shared(now()).unwrap());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| one.exclusive(Deadline::after(Duration::from_secs(10))).unwrap());
            let committing = Deadline::after(Duration::from_secs(5));
            assert!(committing.wait_for(|| try_lock(&program.file, SHARED, LockKind::Write)).unwrap());
            program.unlock().unwrap();
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn waiting_writer_keeps_new_readers_out_until_the_old_ones_finish() {
        let (dir, mut writer, mut old) = locks();
        let open = || File::options().read(true).write(true).open(dir.path().join("db")).unwrap();
        assert!(old.shared(now()).unwrap());
        let mut new = DatabaseLock::new(open());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| writer.exclusive(Deadline::after(Duration::from_secs(10))).unwrap());
            let kept_out = Deadline::after(Duration::from_secs(10)).wait_for(|| {
                let entered = new.shared(now())?;
                new.unlock()?;
                Ok::<_, Errno>(!entered)
            });
            assert!(kept_out.unwrap());
            old.unlock().unwrap();
            assert!(waiting.join().unwrap());
        });
    }
}
