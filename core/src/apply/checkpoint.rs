use alloc::collections::BTreeMap;
use alloc::vec;
use core::time::Duration;

use super::context::Context;
use super::deadline::Deadline;
use super::direct::DatabaseWriter;
use super::wal_index::NOT_USED;
use super::wal_writer::{PAUSE_AT, WalWriter};
use super::{ApplyError, BackingFile, System};
use crate::{File as Kind, PageNumber, PageSize};

/// How much of the WAL is in the database file, in frames.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Checkpoint {
    /// Frames that are in the database file.
    pub backfilled: u32,
    /// Frames in the WAL. Where both are equal, the next transaction begins the WAL again unless a reader is in it.
    pub frames: u32,
}

impl Checkpoint {
    /// Whether the database file alone is the database.
    pub fn is_complete(self) -> bool {
        self.backfilled == self.frames
    }
}

/// From this many frames on that are not in the database file, a checkpoint is due; SQLite's own default.
const DUE: u32 = 1000;
/// Longest time for which no transaction is applied so that short readers let go of the WAL.
const PAUSE_MAX: Duration = Duration::from_millis(50);

impl<S: System> WalWriter<S> {
    /// How much of the WAL is in the database file.
    pub(super) fn progress(&self) -> Result<Checkpoint, ApplyError> {
        Ok(Checkpoint { backfilled: self.index.backfilled()?, frames: self.frames() })
    }

    /// Copies what no reader needs in the WAL alone to the database file.
    pub(super) fn checkpoint(
        &self,
        context: &Context<S>,
        database: &S::File,
    ) -> Result<Checkpoint, ApplyError> {
        let lock = || ApplyError::io("lock", Kind::Shm);
        let Some(page_size) = self.page_size() else { return self.progress() };
        if self.progress()?.is_complete() {
            return self.progress();
        }
        let safe = self.oldest_reader()?;
        let backfilled = self.index.backfilled()?;
        // Readers of mark 0 read the database file and expect it to stand still.
        let readers = if backfilled < safe { self.shm.readers(0).map_err(lock())? } else { None };
        let Some(_readers) = readers else { return self.progress() };

        self.index.set_attempted(safe)?;
        // The frames must outlive a loss of power that leaves the database file half written.
        self.sync()?;
        let mut newest = BTreeMap::new();
        for frame in backfilled + 1..=safe {
            newest.extend(self.index.page_of(frame)?.map(|page| (page, frame)));
        }
        self.copy(context, database, page_size, &newest)?;
        if safe == self.frames() {
            let len = u64::from(self.published.page_count) * u64::from(page_size.get());
            database.set_len(len).map_err(ApplyError::io("resize", Kind::Database))?;
        }
        database.sync_data().map_err(ApplyError::io("sync", Kind::Database))?;
        context.resized(Kind::Database)?;
        self.index.set_backfilled(safe)?;
        self.progress()
    }

    /// Begins the WAL again, so that the next frame is its first; false when readers are still in it, or not all of it
    /// is in the database file.
    pub(super) fn restart(&mut self, context: &Context<S>) -> Result<bool, ApplyError> {
        if self.frames() == 0 {
            return Ok(true);
        }
        if !self.progress()?.is_complete() {
            return Ok(false);
        }
        let salt = context.random("draw salts for", Kind::Wal)?;
        let Some(readers) = self.shm.wal_readers().map_err(ApplyError::io("lock", Kind::Shm))? else {
            return Ok(false);
        };
        let mut next = self.published;
        next.max_frame = 0;
        next.salt = [next.salt[0].wrapping_add(1), salt];
        self.index.publish(&next)?;
        self.index.set_backfilled(0)?;
        self.index.set_attempted(0)?;
        self.index.set_mark(1, 0)?;
        for mark in 2..=4 {
            self.index.set_mark(mark, NOT_USED)?;
        }
        drop(readers);
        self.begin_again(next);
        self.pause_at = PAUSE_AT;
        Ok(true)
    }

    /// Keeps the WAL short before a transaction is appended: checkpoints when one is due, begins the WAL again when it
    /// can, and waits a moment for short readers where it has grown long under an unbroken series of them.
    ///
    /// Readers that stay longer than that are left alone, and the WAL grows as it would under SQLite, twice as long
    /// before they are waited for again.
    pub(super) fn make_room(&mut self, context: &Context<S>, database: &S::File) -> Result<(), ApplyError> {
        let progress = self.progress()?;
        if progress.frames - progress.backfilled >= DUE {
            self.checkpoint(context, database)?;
        }
        if self.restart(context)? || self.frames() < self.pause_at {
            return Ok(());
        }
        if !self.empty(context, database, Deadline::after(context, PAUSE_MAX))? {
            self.pause_at = self.frames().saturating_mul(2);
        }
        Ok(())
    }

    /// Gets everything into the database file and begins the WAL again; false when readers did not let go in time.
    pub(super) fn empty(
        &mut self,
        context: &Context<S>,
        database: &S::File,
        deadline: Deadline,
    ) -> Result<bool, ApplyError> {
        deadline.wait_for(context, || {
            self.checkpoint(context, database)?;
            self.restart(context)
        })
    }

    /// The last frame that may be copied: no reader looks at an older state of a page in it. Marks that nobody holds
    /// on to are moved out of the way.
    fn oldest_reader(&self) -> Result<u32, ApplyError> {
        let mut safe = self.frames();
        for number in 1..=4 {
            let mark = self.index.mark(number)?;
            if mark >= safe {
                continue;
            }
            match self.shm.readers(number).map_err(ApplyError::io("lock", Kind::Shm))? {
                Some(_alone) => self.index.set_mark(number, if number == 1 { safe } else { NOT_USED })?,
                None => safe = mark,
            }
        }
        Ok(safe)
    }

    fn copy(
        &self,
        context: &Context<S>,
        database: &S::File,
        page_size: PageSize,
        newest: &BTreeMap<PageNumber, u32>,
    ) -> Result<(), ApplyError> {
        context.sync_log()?;
        let mut writer = DatabaseWriter::new(context, database, page_size);
        let mut content = vec![0; page_size.bytes()];
        for (page, frame) in newest {
            // Pages that the database does not have any more may be in frames of older transactions.
            if page.get() <= self.published.page_count {
                self.read_frame(*frame, &mut content)?;
                writer.write(*page, &content)?;
            }
        }
        writer.finish()
    }
}
