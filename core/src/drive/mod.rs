//! The drive loop: a database's machine and its log over a disk. The daemon and the simulator run this same loop.

mod bring_together;
mod extend;
mod in_doubt;
mod preserve;
mod receive;
mod recover;
mod save;
mod stored_file;
mod verdict;
mod verify;
mod wal_scan;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use bring_together::{checkpoint_wal, roll_back_journal};
pub use in_doubt::InDoubt;
pub use preserve::Preserve;
pub use recover::{OpenError, Recovered};
pub use stored_file::StoredFile;
pub use verdict::{Finding, Unfinished, Verdict};
pub use verify::verify;

use crate::database::{Authority, Database, Effect, Request, StopReason};
use crate::log::{AppendError, Log, Retention, SyncPlan, WalCoverage};
use crate::sqlite::wal;
use crate::{Checksum, Disk, Errno, File, Mistake, Now, PageNumber, Planted, Position, Txid};

/// One database: its machine, its log and its disk.
#[derive(Debug)]
pub struct Driver<D> {
    disk: D,
    database: Database,
    log: Log,
    /// The position whose pages are durably in the database file, as saved with the checksums.
    base: Position,
    append_error: Option<AppendError>,
    /// A sync of the database file failed: what it lost is not known, so recovery must not start later than now.
    database_sync_failed: bool,
    /// The driver itself wrote to the database file, and nobody has asked yet.
    overwritten: bool,
    /// Segments that the log has given up and the disk still has, the oldest first.
    expired: VecDeque<u64>,
    /// Who still needs pages as they are before they change.
    preservers: Vec<Arc<dyn Preserve>>,
}

impl<D: Disk> Driver<D> {
    /// The database's machine, to look at.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The database's machine, to tell it about the world around it.
    pub fn database_mut(&mut self) -> &mut Database {
        &mut self.database
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The disk.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// The mistake that is planted.
    fn planted(&self) -> Planted {
        self.database.planted()
    }

    /// The position that recovery starts from.
    pub fn base(&self) -> Position {
        self.base
    }

    /// Says whether transactions may be committed from now on.
    pub fn set_authority(&mut self, authority: Authority) {
        self.database.set_authority(authority);
    }

    /// The position of the last committed transaction.
    pub fn position(&self) -> Position {
        self.database.position()
    }

    /// The position up to which transactions survive a loss of power and can be read from the log.
    pub fn durable(&self) -> Position {
        let (in_log, in_wal) = (self.log.durable(), self.database.wal_durable());
        // Together the log and the WAL have everything only from where the WAL goes on after the log.
        let connected = in_log.txid >= self.database.outside_wal().txid;
        let durable = if connected && in_wal.txid > in_log.txid { in_wal } else { in_log };
        if durable.txid > self.log.end().txid { self.log.end() } else { durable }
    }

    /// Whether the database file was written to by other means than the requests of programs. Asking clears it.
    pub fn take_overwritten(&mut self) -> bool {
        core::mem::take(&mut self.overwritten)
    }

    /// The last error of appending to the log, for the operator. Asking clears it.
    pub fn take_append_error(&mut self) -> Option<AppendError> {
        self.append_error.take()
    }

    /// Carries out one operation of a program on the database's files.
    ///
    /// # Errors
    /// The error number for the program. Nothing was done, or what was done is not a transaction.
    pub fn request(&mut self, request: Request<'_>, now: Now) -> Result<(), Errno> {
        let Request::Write { file: File::Wal, mut offset, mut data } = request else {
            return self.step(request, now);
        };
        // Each frame is decided on its own, so that a write of many frames commits each transaction in it.
        while !data.is_empty() {
            let (frame, rest) = data.split_at(self.database.wal_write_len(offset, data.len()));
            self.step(Request::Write { file: File::Wal, offset, data: frame }, now)?;
            offset += frame.len() as u64;
            data = rest;
        }
        Ok(())
    }

    fn step(&mut self, request: Request<'_>, now: Now) -> Result<(), Errno> {
        let effects = self.database.begin(&request, &self.disk, now)?;
        if !self.preservers.is_empty() {
            self.preserve_before(&request)?;
        }
        for effect in &effects {
            if let Err(errno) = self.perform(effect, &request) {
                if *effect == Effect::Perform
                    && self.database.must_end_journal()
                    && !self.planted().makes(Mistake::FailsAfterLog)
                    && self.end_journal().is_ok()
                {
                    continue;
                }
                return Err(self.database.fail(effect, errno));
            }
        }
        self.database.complete();
        Ok(())
    }

    /// Ends the journal of a transaction that the log has, in whatever way can be had: one that stays would roll the
    /// transaction back.
    fn end_journal(&self) -> Result<(), Errno> {
        self.disk.set_len(File::Journal, 0).or_else(|_| self.disk.remove(File::Journal))
    }

    fn perform(&mut self, effect: &Effect, request: &Request<'_>) -> Result<(), Errno> {
        match effect {
            Effect::Perform => match *request {
                Request::Create(file) => self.disk.set_len(file, 0),
                Request::Write { file, offset, data } => self.disk.write_at(file, offset, data),
                Request::SetLen { file, len } => self.disk.set_len(file, len),
                Request::Remove(file) => self.disk.remove(file),
                Request::Sync(file) => self.sync(file),
                Request::Closed => Ok(()),
            },
            Effect::PerformIfPossible => {
                // The reason is in the effect's description.
                let _ = self.perform(&Effect::Perform, request);
                Ok(())
            }
            Effect::WriteWal { offset, data } => self.disk.write_at(File::Wal, *offset, data),
            Effect::MarkUnjournaled => {
                self.disk.set_len(File::Unjournaled, 0)?;
                self.disk.sync_directory()
            }
            Effect::AppendPending => self.append_pending(),
            Effect::Append(transaction) => {
                let appended = self.log.append(&self.disk, transaction);
                appended.map_err(|error| self.refuse(error))
            }
            Effect::MarkWal => {
                let Some((salt, end)) = self.database.wal_end() else { return Ok(()) };
                let marked = self.log.append_mark(&self.disk, WalCoverage { salt, end });
                marked.map_err(|error| self.refuse(error))
            }
            Effect::BeginWal(salt) => self.begin_wal(*salt),
            Effect::SyncLog => self.log.sync(&self.disk),
            Effect::SyncWal => self.sync_wal(),
            Effect::Sync(file) => self.sync(*file),
            Effect::Empty(file) => self.disk.set_len(*file, 0),
            Effect::Remove(file) => self.disk.remove(*file),
            Effect::SyncDirectory => self.disk.sync_directory(),
            Effect::Backfill(frames) => self.backfill(frames),
        }
    }

    /// SQLite takes salts of zero when it has just set up the wal-index over an empty WAL, so they are not always others.
    fn begin_wal(&mut self, salt: [u32; 2]) -> Result<(), Errno> {
        if self.log.coverage().is_none_or(|coverage| coverage.salt != salt) {
            return Ok(());
        }
        let nothing = WalCoverage { salt, end: wal::HEADER_LEN as u64 };
        self.log.append_mark(&self.disk, nothing).map_err(|error| self.refuse(error))?;
        self.sync_log()
    }

    fn sync(&mut self, file: File) -> Result<(), Errno> {
        let synced = self.disk.sync(file);
        if file == File::Database && synced.is_err() {
            self.database_sync_failed();
        }
        synced
    }

    /// Makes what is committed in the WAL durable. The commit was accepted and others may have seen it, so a WAL that
    /// cannot be synced must not make it fail: the log takes its place until the WAL starts over.
    fn sync_wal(&mut self) -> Result<(), Errno> {
        if !self.database.wal_sync_failed() && self.disk.sync(File::Wal).is_ok() {
            return Ok(());
        }
        self.database.set_wal_sync_failed();
        self.append_pending().inspect_err(|errno| self.database.stop(StopReason::LogSync(*errno)))?;
        self.sync_log()
    }

    /// Appends everything captured so far to the log.
    ///
    /// # Errors
    /// The log could not take it; commits are refused until a later call succeeds.
    pub fn append_pending(&mut self) -> Result<(), Errno> {
        while let Some(transaction) = self.database.next_pending() {
            if let Err(error) = self.log.append(&self.disk, transaction) {
                let errno = self.refuse(error);
                self.database.pending_refused();
                if self.planted().makes(Mistake::DropsQueueOnError) {
                    self.database.pending_appended();
                }
                return Err(errno);
            }
            self.database.pending_appended();
        }
        Ok(())
    }

    fn refuse(&mut self, error: AppendError) -> Errno {
        let errno = error.errno();
        self.append_error = Some(error);
        errno
    }

    /// What has to be synced for everything in the log to be durable. The sync may happen elsewhere, while the
    /// database goes on; [`Self::log_synced`] then takes note.
    pub fn log_sync_plan(&self) -> Option<SyncPlan> {
        self.log.sync_plan()
    }

    /// `plan` was carried out.
    pub fn log_synced(&mut self, plan: SyncPlan) {
        self.log.synced(plan);
    }

    /// A plan could not be carried out: it is unknown what is on disk, and the database stops.
    pub fn log_sync_failed(&mut self, errno: Errno) {
        self.log.sync_failed(errno);
        self.database.stop(StopReason::LogSync(errno));
    }

    /// Makes everything in the log durable.
    ///
    /// # Errors
    /// What the disk answered. It is then unknown what is on disk, and the database stops.
    pub fn sync_log(&mut self) -> Result<(), Errno> {
        self.log.sync(&self.disk).inspect_err(|errno| self.database.stop(StopReason::LogSync(*errno)))
    }

    /// This node may commit from now on: notes where its own transactions will begin in a WAL that so far held those
    /// of a primary.
    ///
    /// # Errors
    /// The log could not take the note; the node must not commit.
    pub fn promote(&mut self) -> Result<(), Errno> {
        let Some((salt, end)) = self.database.wal_end() else { return Ok(()) };
        if self.log.coverage().is_some_and(|coverage| coverage.salt == salt && coverage.end == u64::MAX) {
            let mark = WalCoverage { salt, end };
            self.log.append_mark(&self.disk, mark).map_err(|error| self.refuse(error))?;
        }
        self.sync_log()
    }

    /// Gives every page a checksum, where a LiteFS primary left some out, by a transaction of its own. To be called
    /// when this node has become the primary. Returns whether there was anything to do.
    ///
    /// # Errors
    /// What the disk answered; if it could not sync, the database stops.
    pub fn repair(&mut self, now: Now) -> Result<bool, Errno> {
        let effects = self.database.begin_repair(&self.disk, now)?;
        for effect in &effects {
            if let Err(errno) = self.perform(effect, &Request::Closed) {
                return Err(self.database.fail(effect, errno));
            }
        }
        self.database.complete();
        Ok(!effects.is_empty())
    }

    /// Removes what retention does not keep of the log. Returns how many segments went.
    ///
    /// # Errors
    /// What the disk answered; a segment that stayed is tried again the next time, and found again at the next start.
    pub fn expire(&mut self, retention: Retention, now_ms: i64) -> Result<usize, Errno> {
        let everything = self.planted().makes(Mistake::ExpiresWhatRecoveryNeeds);
        let keep_after = if everything { Txid::new(u64::MAX) } else { self.base.txid };
        self.expired.extend(self.log.expire(retention, now_ms, keep_after));
        if self.expired.is_empty() {
            return Ok(0);
        }
        if let Some(coverage) = self.log.coverage() {
            // What of a WAL that is still in use is in the log may be said in the segments that go and nowhere else.
            self.log.append_mark(&self.disk, coverage).map_err(|error| self.refuse(error))?;
            self.sync_log()?;
        }
        let mut removed = 0;
        // Durably, and the oldest first: a gap in the log would look like damage.
        while let Some(number) = self.expired.front() {
            self.disk.remove(File::Segment(*number))?;
            self.disk.sync_directory()?;
            self.expired.pop_front();
            removed += 1;
        }
        Ok(removed)
    }

    /// Reads the whole database and computes its checksum anew, to be compared with that of the position.
    ///
    /// # Errors
    /// What the disk answered.
    pub fn recompute_checksum(&self) -> Result<Checksum, Errno> {
        let Some(page_size) = self.database.page_size() else { return Ok(Checksum::EMPTY) };
        let mut content = alloc::vec![0; page_size.bytes()];
        let mut total = Checksum::EMPTY;
        for page in (1..=self.database.page_count()).filter_map(PageNumber::new) {
            // The lock page has none, and neither has what a LiteFS primary left out.
            if self.database.sums().get(page) == Checksum::ZERO {
                continue;
            }
            self.database.source(page).read(&self.disk, page_size, page, &mut content)?;
            total = total.toggle(Checksum::of_page(page, &content));
        }
        Ok(total)
    }

    /// Copies the pages of WAL frames into the database file, and gives it its length.
    fn backfill(&mut self, frames: &[(PageNumber, u64)]) -> Result<(), Errno> {
        let Some(page_size) = self.database.page_size() else { return Ok(()) };
        self.overwritten = true;
        let mut content = alloc::vec![0; page_size.bytes()];
        for (page, frame) in frames {
            if page.get() > self.database.page_count() {
                continue;
            }
            let offset = frame + wal::FRAME_HEADER_LEN as u64;
            if self.disk.read_at(File::Wal, offset, &mut content)? < content.len() {
                return Err(Errno::EIO);
            }
            self.disk.write_at(File::Database, page_size.offset_of(*page), &content)?;
        }
        let len = u64::from(page_size.get()) * u64::from(self.database.page_count());
        self.disk.set_len(File::Database, len)
    }
}
