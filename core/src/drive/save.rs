//! The point that recovery starts from.

use alloc::vec::Vec;

use super::Driver;
use crate::database::Request;
use crate::sqlite::{wal, wal_index};
use crate::{Disk, Errno, File, Mistake, Now, PageNumber, SavedSums};

impl<D: Disk> Driver<D> {
    /// Saves the page checksums, and with them a new point for recovery to start from: everything that is in the
    /// database file now. Costs 8 bytes a page.
    ///
    /// # Errors
    /// What the disk answered; the older point stays.
    pub fn save(&mut self) -> Result<(), Errno> {
        let Some(page_size) = self.database.page_size() else { return Ok(()) };
        if !self.is_save_due()? {
            return Ok(());
        }
        let before_checkpoint = self.planted().makes(Mistake::SavesBeforeCheckpoint);
        let base = if before_checkpoint { self.position() } else { self.database.backfilled() };
        self.append_pending()?;
        self.sync_log()?;
        self.sync(File::Database)?;
        // The end of the last journal, too: were it to come back, it would be rolled back over the new base.
        self.disk.sync(File::Journal)?;
        self.disk.sync_directory()?;
        let position = self.database.position();
        self.write_sums(&SavedSums { page_size, base, position, sums: self.database.sums().clone() })?;
        if self.database.may_clear_unjournaled() {
            self.disk.remove(File::Unjournaled)?;
            self.disk.sync_directory()?;
            self.database.unjournaled_cleared();
        }
        Ok(())
    }

    /// Whether [`Self::save`] would save another point than the last one. Then [`Self::sync_log`], and a sync of the
    /// database file, leave it less to do.
    ///
    /// # Errors
    /// What the disk answered.
    pub fn is_save_due(&mut self) -> Result<bool, Errno> {
        let unsettled = self.database.is_dirty() || self.database.has_active_journal();
        if unsettled || self.database_sync_failed || self.database.stopped().is_some() {
            return Ok(false);
        }
        self.look_for_checkpoint()?;
        Ok(self.database.backfilled() != self.base)
    }

    /// The database file could not be synced outside of the driver: no later sync of it is to be believed.
    pub fn database_sync_failed(&mut self) {
        self.database_sync_failed = true;
    }

    /// Takes note where a checkpoint has copied everything in the WAL to the database file. While connections stay open
    /// the WAL may go on like that for long without being begun again.
    fn look_for_checkpoint(&mut self) -> Result<(), Errno> {
        let Some((salt, end)) = self.database.wal_end() else { return Ok(()) };
        let mut index = [0; wal_index::BACKFILL_OFFSET + 4];
        if self.disk.read_at(File::Shm, 0, &mut index)? < index.len() {
            return Ok(());
        }
        let (first, rest) = index.split_at(wal_index::HEADER_LEN);
        let (second, backfill) = rest.split_at(wal_index::HEADER_LEN);
        let header = first.first_chunk().and_then(wal_index::Header::decode);
        let (Some(header), Some(backfill)) = (header.filter(|_| first == second), backfill.first_chunk())
        else {
            return Ok(());
        };
        let Some(page_size) = header.page_size.filter(|_| header.salt == salt) else { return Ok(()) };
        let frame_len = wal::FRAME_HEADER_LEN as u64 + u64::from(page_size.get());
        let index_end = wal::HEADER_LEN as u64 + u64::from(header.max_frame) * frame_len;
        let is_whole = u32::from_le_bytes(*backfill) == header.max_frame
            || self.planted().makes(Mistake::BelievesPartOfCheckpoint);
        if index_end == end && is_whole {
            self.database.checkpointed();
        }
        Ok(())
    }

    fn write_sums(&mut self, saved: &SavedSums) -> Result<(), Errno> {
        self.disk.set_len(File::SumsNew, 0)?;
        self.disk.write_at(File::SumsNew, 0, &saved.encode())?;
        if !self.planted().makes(Mistake::RenamesUnsyncedSums) {
            self.disk.sync(File::SumsNew)?;
        }
        self.disk.rename(File::SumsNew, File::Sums)?;
        self.disk.sync_directory()?;
        self.base = saved.base;
        Ok(())
    }

    /// Leaves everything so that the next start has nothing to recover. No program may have the database open.
    ///
    /// # Errors
    /// What the disk answered; the next start recovers.
    pub fn close(&mut self) -> Result<(), Errno> {
        self.append_pending()?;
        self.sync_log()?;
        if self.database.has_active_journal() || self.database.is_dirty() || self.database.stopped().is_some()
        {
            return Ok(());
        }
        let frames: Vec<(PageNumber, u64)> = self.database.wal_frames().collect();
        self.backfill(&frames)?;
        if self.database.page_size().is_some() {
            self.step(Request::Remove(File::Wal), Now::default())?;
            self.save()?;
        }
        self.disk.remove(File::Wal)?;
        self.disk.remove(File::Shm)?;
        self.disk.sync_directory()
    }
}
