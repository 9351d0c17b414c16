//! What an [`Applier`] does on a node that programs write on: it keeps them from it, or ends what one of them began.

use core::time::Duration;

use super::applier::Applier;
use super::deadline::Deadline;
use super::shm_lock::ShmLock;
use super::wal_writer::WalWriter;
use super::{ApplyError, System};
use crate::{Errno, File as Kind};

impl<S: System> Applier<S> {
    /// Publishes transactions that were accepted up to byte `accepted_end` of the WAL with these salts, but that the
    /// writer died before it could show to others. True when there were any and somebody to show them to.
    ///
    /// # Errors
    /// [`ApplyError::Busy`] while a program writes or checkpoints; [`ApplyError::InDoubtLost`] when the frames are not
    /// whole in the WAL any more.
    pub fn publish_in_doubt(
        &mut self,
        salt: [u32; 2],
        accepted_end: u64,
        wait: Duration,
    ) -> Result<bool, ApplyError> {
        let deadline = Deadline::after(&self.context, wait);
        let was_attached = self.wal.is_some();
        if !was_attached && !self.index_has_users()? {
            return Ok(false);
        }
        self.open()?;
        let published = self.share(deadline).and_then(|()| self.attach(deadline));
        let end = self.wal.as_ref().map(WalWriter::end);
        let in_doubt = self.wal.as_ref().is_some_and(WalWriter::found_unpublished);
        if !was_attached && !self.held {
            self.close();
        }
        published?;
        match end {
            Some((found, found_end)) if found == salt && found_end < accepted_end => {
                Err(ApplyError::InDoubtLost { accepted_end, found_end })
            }
            _ => Ok(in_doubt && !was_attached),
        }
    }

    /// Whether a program has the wal-index mapped. If not, the next one that comes finds in the WAL what was not published,
    /// and must not meet our locks there.
    fn index_has_users(&self) -> Result<bool, ApplyError> {
        match self.context.open_in_mount(Kind::Shm) {
            Ok(shm) => {
                ShmLock::new(shm).has_users().map_err(ApplyError::io("look at the locks of", Kind::Shm))
            }
            Err(ApplyError::Io { errno: Errno::ENOENT, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Runs `work` while no program can write: in WAL mode with readers going on, in rollback mode without.
    ///
    /// # Errors
    /// [`ApplyError::Busy`] when programs do not let go in time; `work` is not run then.
    pub fn with_write_lock<T>(
        &mut self,
        wait: Duration,
        work: impl FnOnce(&mut Self) -> T,
    ) -> Result<T, ApplyError> {
        self.hold(wait)?;
        let result = work(self);
        self.release()?;
        Ok(result)
    }

    /// Keeps programs from writing until [`Applier::release`] or [`Applier::detach`].
    ///
    /// # Errors
    /// [`ApplyError::Busy`] when programs do not let go in time; nothing is held then.
    pub fn hold(&mut self, wait: Duration) -> Result<(), ApplyError> {
        let deadline = Deadline::after(&self.context, wait);
        self.open()?;
        let locked = self.lock_writers(deadline);
        self.held = locked.is_ok();
        if locked.is_err() {
            self.settle()?;
        }
        locked
    }

    /// Ends [`Applier::hold`], and makes durable what was applied in between.
    ///
    /// # Errors
    /// What the kernel or the disk answered; programs can write again all the same.
    pub fn release(&mut self) -> Result<(), ApplyError> {
        let synced = self.sync();
        self.held = false;
        self.wal = None;
        self.settle()?;
        synced
    }

    fn lock_writers(&mut self, deadline: Deadline) -> Result<(), ApplyError> {
        if self.wal.is_some() {
            return Ok(());
        }
        self.share(deadline)?;
        if self.wal_in_use()? {
            return self.attach(deadline);
        }
        self.exclude(deadline)?;
        self.check_journal()
    }
}
