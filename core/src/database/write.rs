//! What each request does.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::commit::append_unjournaled;
use super::{Database, Effect, JournalMode, Rejected, Staged};
use crate::sqlite::wal::{self, WalHeader};
use crate::{Checksum, Errno, File, Mistake, Now, PageNumber, View};

/// Bytes of a journal's header, which SQLite overwrites with zeros to end a transaction in PERSIST mode.
const JOURNAL_HEADER_LEN: usize = 28;

/// Bytes of a page of an older generation that are spoilt, so that no header is valid with it.
const STALE_LEN: usize = 8;

impl Database {
    pub(super) fn begin_create(&mut self, file: File, now: Now) -> Result<Vec<Effect>, Errno> {
        match file {
            File::Journal => {
                // It is the first thing a writer in rollback mode needs: here it learns that it may not write.
                self.require_authority(now, Errno::EACCES)?;
                self.new_journal = !self.planted().makes(Mistake::ForgetsNameOfJournal);
            }
            File::Wal => self.new_wal = !self.planted().makes(Mistake::ForgetsNameOfJournal),
            _ => {}
        }
        Ok(perform())
    }

    pub(super) fn begin_write<V: View>(
        &mut self,
        file: File,
        offset: u64,
        data: &[u8],
        view: &V,
        now: Now,
    ) -> Result<Vec<Effect>, Errno> {
        match file {
            File::Database => self.begin_database_write(offset, data, now),
            File::Journal
                if offset == 0
                    && data.len() == JOURNAL_HEADER_LEN
                    && data.iter().all(|b| *b == 0)
                    && !self.planted().makes(Mistake::MissesPersistCommit) =>
            {
                self.begin_journal_end(view, now)
            }
            File::Journal => {
                self.require_authority(now, Errno::EACCES)?;
                if !self.rollback.journal_active && self.wal_frames().next().is_some() {
                    return self.begin_journal_after_wal(view);
                }
                self.rollback.journal_active = true;
                let is_header = offset == 0 && data.len() >= JOURNAL_HEADER_LEN;
                if is_header { self.begin_journal_header(view, now) } else { Ok(perform()) }
            }
            File::Wal => self.begin_wal_write(offset, data, view, now),
            File::Shm | File::Segment(_) | File::Sums | File::SumsNew | File::Unjournaled => Ok(perform()),
        }
    }

    /// A journal is begun over a WAL that has frames. SQLite uses one or the other: who begins a journal has copied the
    /// frames to the database file, and takes the WAL for gone.
    fn begin_journal_after_wal<V: View>(&mut self, view: &V) -> Result<Vec<Effect>, Errno> {
        self.refuse_in_doubt(view)?;
        let mut effects = self.after_barrier(Effect::Empty(File::Wal));
        effects.push(Effect::Perform);
        self.staged = Staged::JournalAfterWal;
        Ok(effects)
    }

    /// A write to the database file, where the kernel does not let it pass the daemon.
    fn begin_database_write(&mut self, offset: u64, data: &[u8], now: Now) -> Result<Vec<Effect>, Errno> {
        if self.is_checkpoint(offset, data.len() as u64) {
            return Ok(perform());
        }
        // Whoever rolls a hot journal back may write in any role: what it writes was committed before.
        if !self.rollback.journal_active {
            self.require_authority(now, Errno::EIO)?;
        }
        let effects = self.unless_journaled();
        let misses = self.planted().makes(Mistake::MissesWritesInWalMode);
        if !misses || self.journal_mode != JournalMode::Wal {
            self.rollback.wrote(self.page_size, offset, data.len() as u64);
        }
        Ok(effects)
    }

    /// The request itself, after leaving the mark that no journal could undo it, where that is so.
    fn unless_journaled(&mut self) -> Vec<Effect> {
        if self.rollback.journal_active || self.marked_unjournaled {
            return perform();
        }
        self.marked_unjournaled = true;
        alloc::vec![Effect::MarkUnjournaled, Effect::Perform]
    }

    /// Whether a write to the database file is SQLite copying pages there that it has in the WAL, or parts of them: the
    /// kernel splits large writes.
    fn is_checkpoint(&self, offset: u64, len: u64) -> bool {
        let (Some(wal), Some(page_size)) = (&self.wal, self.page_size) else { return false };
        let size = u64::from(page_size.get());
        if self.rollback.journal_active {
            return false;
        }
        let mut pages = offset / size..(offset + len).div_ceil(size);
        pages.all(|page| {
            let page = u32::try_from(page + 1).ok().and_then(PageNumber::new);
            page.is_some_and(|page| wal.frames().contains_key(&page))
        })
    }

    fn begin_wal_write<V: View>(
        &mut self,
        offset: u64,
        data: &[u8],
        view: &V,
        now: Now,
    ) -> Result<Vec<Effect>, Errno> {
        self.require_authority(now, Errno::EACCES)?;
        if self.rollback.journal_active {
            // Whoever reads through a WAL does not see what the journal is there to take back.
            return Err(Errno::EIO);
        }
        if let Some(rejected) = self.rejected {
            // A refused write may come again in part: SQLite takes up a short write where it ended. A new attempt
            // begins elsewhere.
            if (rejected.from..rejected.to).contains(&offset) {
                return Err(rejected.errno);
            }
            self.rejected = None;
        }
        if offset < wal::HEADER_LEN as u64 {
            return self.begin_wal_header(offset, data, view, now);
        }
        let planted = self.planted();
        let Some(generation) = &mut self.wal else { return Ok(perform()) };
        if offset < generation.committed_end() {
            let mut present = alloc::vec![0; data.len()];
            let read = view.read_at(File::Wal, offset, &mut present)?;
            let overwrites = self.planted().makes(Mistake::OverwritesCommitInDoubt);
            if read == data.len() && present == data || overwrites {
                return Ok(perform());
            }
            self.in_doubt = true;
            return Err(Errno::EIO);
        }
        self.last_wal_write = (offset, offset + data.len() as u64);
        let advance = generation.advance(view, offset, data, !planted.makes(Mistake::LooksAtOneFrame))?;
        let stale_page = generation.stale_page();
        let commit = match self.wal_commit(&advance, view, now) {
            Ok(commit) => commit,
            Err(errno) => {
                let (from, to) = self.last_wal_write;
                self.rejected = Some(Rejected { from, to, errno });
                if let Some(generation) = &mut self.wal {
                    generation.forget_partial();
                }
                return Err(errno);
            }
        };
        let mut effects = Vec::with_capacity(2);
        if commit.is_some() && (self.log_refuses || self.pending.len() >= self.options.backlog_max) {
            effects.push(Effect::AppendPending);
        }
        if let Some(offset) = stale_page {
            let mut data = alloc::vec![0; STALE_LEN];
            let read = view.read_at(File::Wal, offset, &mut data)?;
            data.iter_mut().for_each(|byte| *byte = !*byte);
            data.truncate(read);
            if !data.is_empty() {
                effects.push(Effect::WriteWal { offset, data });
            }
        }
        effects.push(Effect::Perform);
        if planted.makes(Mistake::WritesRefusedCommit) {
            effects.reverse();
        }
        self.staged = Staged::WalWrite(advance, commit.map(Box::new));
        Ok(effects)
    }

    /// A write to the first 32 bytes of the WAL: SQLite begins it from its start again.
    fn begin_wal_header<V: View>(
        &mut self,
        offset: u64,
        data: &[u8],
        view: &V,
        now: Now,
    ) -> Result<Vec<Effect>, Errno> {
        let mut head = [0; wal::HEADER_LEN];
        view.read_at(File::Wal, 0, &mut head)?;
        let before = head;
        let end = wal::HEADER_LEN.min(offset as usize + data.len());
        head[offset as usize..end].copy_from_slice(&data[..end - offset as usize]);
        if head == before && self.wal.is_some() {
            return Ok(perform());
        }
        self.refuse_in_doubt(view)?;
        // What is in the file, and not only what SQLite wrote there, is what the WAL will continue.
        if self.is_wal_misplaced() {
            self.rollback.replaced();
        }
        let is_unjournaled = self.rollback.unjournaled && !self.rollback.journal_active;
        let commit = if is_unjournaled { self.compare(view, now)?.changed() } else { None };
        let header = WalHeader::decode(&head).ok();
        let mut effects = self.after_barrier(Effect::Perform);
        effects.pop();
        if self.wal.is_none() {
            // A synced WAL makes durable what is in it. What was committed before it has to be so already.
            effects.push(Effect::SyncLog);
        }
        effects.extend(commit.iter().flat_map(append_unjournaled));
        effects.extend(header.as_ref().map(|header| Effect::BeginWal(header.salt)));
        effects.push(Effect::Perform);
        self.staged = Staged::WalHeader(header, commit.map(Box::new));
        Ok(effects)
    }

    pub(super) fn begin_set_len<V: View>(
        &mut self,
        file: File,
        len: u64,
        view: &V,
        now: Now,
    ) -> Result<Vec<Effect>, Errno> {
        match file {
            File::Database => {
                let page_len = self.page_size.map_or(0, |size| u64::from(size.get()));
                let checkpoint = len >= page_len && self.may_cut(len);
                let committed = page_len * u64::from(self.page_count());
                let unchanged = len == committed;
                // SQLite cuts the file when the transaction is over, or back to what it was.
                self.rollback.dirty_unknown |= self.rollback.journal_active && len < committed;
                if !unchanged && !self.rollback.journal_active && !checkpoint {
                    self.require_authority(now, Errno::EACCES)?;
                    self.rollback.replaced();
                    if let Some(wal) = &mut self.wal {
                        wal.is_misplaced = true;
                    }
                    return Ok(self.unless_journaled());
                }
                Ok(perform())
            }
            File::Journal if len < JOURNAL_HEADER_LEN as u64 => self.begin_journal_end(view, now),
            // SQLite shortens a journal that it has ended, when it was asked to limit its size.
            File::Journal if !self.rollback.journal_active => Ok(alloc::vec![Effect::PerformIfPossible]),
            File::Wal => match self.wal.as_ref().map(|wal| wal.committed_end()) {
                // SQLite shortens a WAL it has just begun again, when it was asked to limit its size.
                Some(end) if len >= end => Ok(perform()),
                Some(_) if len >= wal::HEADER_LEN as u64 => Err(Errno::EINVAL),
                _ => {
                    self.refuse_in_doubt(view)?;
                    self.begin_wal_gone(Effect::Perform, view)
                }
            },
            File::Journal | File::Shm | File::Segment(_) | File::Sums | File::SumsNew | File::Unjournaled => {
                Ok(perform())
            }
        }
    }

    /// Whether the database file can be cut to `len` bytes and hold what is committed together with the WAL. A checkpoint
    /// cuts it to what its own reader knows, and another transaction may be committed since.
    fn may_cut(&self, len: u64) -> bool {
        let (Some(wal), Some(page_size)) = (&self.wal, self.page_size) else { return false };
        let zeros = alloc::vec![0; page_size.bytes()];
        let whole = u32::try_from(len / u64::from(page_size.get())).unwrap_or(u32::MAX);
        let mut cut = (whole.saturating_add(1)..=self.page_count()).filter_map(PageNumber::new);
        cut.all(|page| {
            wal.frames().contains_key(&page)
                || page == page_size.lock_page()
                || self.sums.get(page) == Checksum::of_page(page, &zeros)
        })
    }

    pub(super) fn begin_remove<V: View>(
        &mut self,
        file: File,
        view: &V,
        now: Now,
    ) -> Result<Vec<Effect>, Errno> {
        match file {
            File::Database => self.begin_drop(now),
            File::Journal => self.begin_journal_end(view, now),
            File::Wal => self.begin_wal_gone(Effect::Perform, view),
            File::Shm | File::Segment(_) | File::Sums | File::SumsNew | File::Unjournaled => Ok(perform()),
        }
    }

    /// The WAL is removed or emptied. SQLite does so only after a checkpoint, but a person may do it at any time: what
    /// the database file lacks is copied there first.
    fn begin_wal_gone<V: View>(&mut self, perform: Effect, view: &V) -> Result<Vec<Effect>, Errno> {
        if self.is_wal_misplaced() {
            // From now on readers see the file alone.
            self.rollback.replaced();
        }
        let missing = self.not_backfilled(view)?;
        let mut effects = self.after_barrier(perform);
        if let Some(missing) = missing {
            // After the barrier: what is in the database file and nowhere else could not be taken back.
            let last = effects.len() - 1;
            effects.insert(last, Effect::Backfill(missing));
            effects.insert(last + 1, Effect::Sync(File::Database));
        }
        self.staged = Staged::WalGone;
        Ok(effects)
    }

    /// The pages that the WAL has and the database file lacks, with their frames; `None` if it lacks nothing, or is
    /// another database by now. No pages if it only is too short, which a page of zeros at its end does not tell.
    fn not_backfilled<V: View>(&self, view: &V) -> Result<Option<Vec<(PageNumber, u64)>>, Errno> {
        let mut missing = Vec::new();
        let (Some(page_size), false) = (self.page_size, self.is_wal_misplaced()) else { return Ok(None) };
        for (page, frame) in self.wal_frames() {
            if page.get() <= self.page_count() && self.database_sum(view, page)? != self.sums.get(page) {
                missing.push((page, frame));
            }
        }
        let len = u64::from(page_size.get()) * u64::from(self.page_count());
        let is_short = self.wal.is_some() && view.len(File::Database)?.unwrap_or(0) < len;
        Ok((is_short || !missing.is_empty()).then_some(missing))
    }

    /// Refuses to give up a WAL that has what the database file lacks. SQLite gives it up only after a checkpoint, so
    /// what is missing was committed by a writer that died before it could say so in the wal-index, where the one that
    /// asks now does not see it.
    fn refuse_in_doubt<V: View>(&mut self, view: &V) -> Result<(), Errno> {
        let begins_anyway = self.planted().makes(Mistake::WalStartsOverInDoubt);
        if begins_anyway || self.not_backfilled(view)?.is_none() {
            return Ok(());
        }
        self.in_doubt = true;
        Err(Errno::EIO)
    }

    /// Whether the database file was replaced beneath the WAL, so that without the WAL it is another one.
    fn is_wal_misplaced(&self) -> bool {
        self.wal.as_ref().is_some_and(|wal| wal.is_misplaced)
    }

    /// `last`, once everything committed so far is durable in the log: the WAL is about to lose it.
    fn after_barrier(&self, last: Effect) -> Vec<Effect> {
        let mut effects = Vec::with_capacity(3);
        if self.wal.is_some() && !self.planted().makes(Mistake::WalStartsOverBeforeLog) {
            effects.push(Effect::AppendPending);
            effects.push(Effect::SyncLog);
        }
        effects.push(last);
        effects
    }

    pub(super) fn begin_sync<V: View>(
        &mut self,
        file: File,
        view: &V,
        now: Now,
    ) -> Result<Vec<Effect>, Errno> {
        match file {
            File::Wal => {
                // The WAL holds every page of what is committed in it: synced, it is as durable as the log.
                self.staged = Staged::WalSynced(self.position);
                Ok(with_name(Effect::SyncWal, self.new_wal))
            }
            File::Database => {
                if self.rollback.unjournaled && !self.rollback.journal_active {
                    return self.begin_unjournaled(view, now);
                }
                self.rollback.synced = true;
                if self.journal_mode == JournalMode::Wal {
                    // A checkpoint ends so. With the log synced now, the next writer does not wait when it begins
                    // the WAL again.
                    return Ok(self.after_barrier(Effect::Perform));
                }
                Ok(perform())
            }
            File::Journal => {
                if !self.rollback.journal_active {
                    // The journal was ended, and its transaction is in the log: if it came back after a loss of power,
                    // recovery would redo the transaction. An error here would be one about a committed transaction.
                    return Ok(Vec::new());
                }
                self.rollback.synced = true;
                self.staged = Staged::JournalSynced;
                Ok(with_name(Effect::Perform, self.new_journal))
            }
            File::Shm | File::Segment(_) | File::Sums | File::SumsNew | File::Unjournaled => Ok(perform()),
        }
    }
}

/// The sync that was asked for, and that of the directory if the file is new in it. SQLite syncs the directory it
/// sees, which is the mount's.
fn with_name(sync: Effect, new: bool) -> Vec<Effect> {
    let mut effects = alloc::vec![sync];
    if new {
        effects.push(Effect::SyncDirectory);
    }
    effects
}

fn perform() -> Vec<Effect> {
    alloc::vec![Effect::Perform]
}
