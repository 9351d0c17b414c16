//! Finding out what a transaction changed, and whether it may be committed.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::wal_capture::{Advance, Generation, PendingFrame};
use super::{Commit, Database, Effect, JournalMode, Staged, StopReason};
use crate::sqlite::header::DatabaseHeader;
use crate::sqlite::journal::JournalReader;
use crate::{
    Checksum, Errno, File, Mistake, Now, PageNumber, PageSize, PageSource, PageSums, Position, Transaction,
    View, ltx,
};

/// What a database file says of itself.
struct FileFacts {
    page_size: PageSize,
    page_count: u32,
    journal_mode: JournalMode,
}

/// What the database file holds, compared with the last transaction.
#[derive(Debug)]
pub(super) enum Comparison {
    /// Not a database, or not yet.
    Incomplete,
    /// The same.
    Same,
    /// Something else, as a transaction.
    Changed(Commit),
}

impl Comparison {
    pub(super) fn changed(self) -> Option<Commit> {
        match self {
            Self::Changed(commit) => Some(commit),
            Self::Incomplete | Self::Same => None,
        }
    }
}

impl Database {
    /// The transaction that `advance` completes in the WAL, unless it changes nothing.
    pub(super) fn wal_commit<V: View>(
        &self,
        advance: &Advance,
        view: &V,
        now: Now,
    ) -> Result<Option<Commit>, Errno> {
        let Some(wal) = &self.wal else { return Ok(None) };
        let Some(frames) = wal.completed(advance) else { return Ok(None) };
        let mut frames: Vec<(PageNumber, u64, Checksum, PendingFrame)> =
            frames.map(|(offset, frame)| (frame.page, offset, frame.sum, frame)).collect();
        let page_count = frames.last().map_or(0, |frame| frame.3.commit);
        // Of several frames of a page the last one counts.
        frames.sort_by_key(|(page, offset, ..)| (*page, core::cmp::Reverse(*offset)));
        frames.dedup_by_key(|(page, ..)| *page);
        // Nobody could open what is not a database, or has pages of two sizes.
        let first = frames.first().filter(|(page, ..)| *page == PageNumber::FIRST);
        let resized = self.page_count() > 0 && self.page_size != Some(wal.header().page_size);
        if first.map_or_else(|| self.page_count() == 0, |(.., frame)| !frame.fits) || resized {
            return Err(Errno::EIO);
        }
        let page_size = wal.header().page_size;
        if u64::from(page_count) > u64::from(self.page_count()) + page_size.max_growth(frames.len()) {
            return Err(Errno::EFBIG);
        }
        let mut pages: Vec<(PageNumber, PageSource, Checksum)> = frames
            .iter()
            .filter(|(page, ..)| page.get() <= page_count && *page != page_size.lock_page())
            .filter(|(page, _, sum, _)| *sum != self.sums.get(*page))
            .map(|(page, offset, sum, _)| (*page, PageSource::Frame(*offset), *sum))
            .collect();
        if !self.planted().makes(Mistake::LeavesOutUnwrittenPages) {
            self.add_unwritten(&mut pages, page_size, page_count, view)?;
        }
        if pages.is_empty() && page_count == self.page_count() {
            return Ok(None);
        }
        let mut header = self.options.next_header(self.position, page_size, page_count, now);
        header.wal_salt = wal.header().salt;
        header.wal_offset = wal.committed_end();
        header.wal_size = wal.completed_end(advance) - wal.committed_end();
        Ok(Some(self.commit_of(header, pages, JournalMode::Wal, false)))
    }

    /// Adds the pages that the database grew by and that were not written: their content is what a reader would find.
    fn add_unwritten<V: View>(
        &self,
        pages: &mut Vec<(PageNumber, PageSource, Checksum)>,
        page_size: PageSize,
        page_count: u32,
        view: &V,
    ) -> Result<(), Errno> {
        let written = pages.len();
        for number in self.page_count() + 1..=page_count {
            let Some(page) = PageNumber::new(number).filter(|page| *page != page_size.lock_page()) else {
                continue;
            };
            if pages[..written].binary_search_by_key(&page, |(page, ..)| *page).is_ok() {
                continue;
            }
            let frame = self.wal.as_ref().and_then(|wal| wal.frames().get(&page)).copied();
            let source = frame.map_or(PageSource::Database, PageSource::Frame);
            pages.push((page, source, source.checksum(view, page_size, page)?));
        }
        pages.sort_by_key(|(page, ..)| *page);
        Ok(())
    }

    /// The operation by which SQLite ends a transaction in rollback mode: the journal is removed, emptied or its
    /// header overwritten. Whether that commits or rolls back is decided by what is in the database file.
    pub(super) fn begin_journal_end<V: View>(&mut self, view: &V, now: Now) -> Result<Vec<Effect>, Errno> {
        if !self.rollback.journal_active {
            // No transaction ends here. What was written without a journal is not one of this journal's.
            return Ok(alloc::vec![Effect::Perform]);
        }
        let found = self.compare(view, now)?;
        if matches!(found, Comparison::Incomplete) && view.len(File::Database)?.unwrap_or(0) > 0 {
            // What is not a database cannot be committed. The journal stays and brings back what was there.
            return Err(Errno::EIO);
        }
        let commit = found.changed();
        let mut effects = Vec::with_capacity(4);
        if let Some(commit) = &commit {
            self.committed_elsewhere = self.names_super_journal(view)?;
            if let Err(errno) = self.require_authority(now, Errno::EACCES) {
                if self.committed_elsewhere {
                    self.stop(StopReason::Unfinished(errno));
                }
                return Err(errno);
            }
            effects.push(Effect::AppendPending);
            effects.push(Effect::Append(Box::new(commit.transaction.clone())));
            if self.rollback.synced && !self.planted().makes(Mistake::CommitsBeforeLogSync) {
                effects.push(Effect::SyncLog);
            }
        }
        effects.push(Effect::Perform);
        if self.planted().makes(Mistake::EndsJournalBeforeLog) {
            effects.rotate_right(1);
        }
        self.staged = Staged::JournalEnd(commit.map(Box::new));
        Ok(effects)
    }

    /// The header of a journal is written. Where it comes over a hot journal that names a super-journal, SQLite found
    /// that one gone: the transaction is committed. It should have ended the journal, but ends one in place only if it
    /// has read from it. So that is done here, lest the name at its end keeps the next transaction from being rolled back.
    pub(super) fn begin_journal_header<V: View>(&mut self, view: &V, now: Now) -> Result<Vec<Effect>, Errno> {
        let leaves = self.planted().makes(Mistake::LeavesSuperJournalName);
        if leaves || !self.names_super_journal(view)? {
            return Ok(alloc::vec![Effect::Perform]);
        }
        let commit = self.compare(view, now)?.changed();
        let mut effects = Vec::with_capacity(6);
        effects.extend(commit.iter().flat_map(append_unjournaled));
        effects.extend([Effect::Empty(File::Journal), Effect::Perform]);
        self.staged = Staged::JournalReplaced(commit.map(Box::new));
        Ok(effects)
    }

    /// Whether the journal says that its transaction spans several databases. Such a transaction is committed by the end
    /// of their common super-journal, before that of each journal (SQLite file format 3).
    fn names_super_journal<V: View>(&self, view: &V) -> Result<bool, Errno> {
        let reader = JournalReader::of_database(view)?;
        Ok(reader.is_hot() && reader.super_journal()?.is_some())
    }

    /// Captures what was written to the database file without a journal, as one transaction. A file that is not a
    /// whole database yet is left for later.
    pub(super) fn begin_unjournaled<V: View>(&mut self, view: &V, now: Now) -> Result<Vec<Effect>, Errno> {
        if !self.rollback.unjournaled || self.rollback.journal_active {
            return Ok(alloc::vec![Effect::Perform]);
        }
        let wal = self.wal.as_ref().filter(|wal| !wal.frames().is_empty());
        let found = match wal {
            Some(wal) => self.compare_beneath(wal, view, now)?,
            None => self.compare(view, now)?,
        };
        if matches!(found, Comparison::Incomplete) {
            return Ok(alloc::vec![Effect::Perform]);
        }
        let commit = found.changed();
        let mut effects = alloc::vec![Effect::Perform];
        if let Some(commit) = &commit {
            self.require_authority(now, Errno::EIO)?;
            effects.extend(append_unjournaled(commit));
            if wal.is_some() {
                effects.push(Effect::MarkWal);
            }
        }
        self.staged = Staged::Unjournaled(commit.map(Box::new));
        Ok(effects)
    }

    /// The database is removed.
    pub(super) fn begin_drop(&mut self, now: Now) -> Result<Vec<Effect>, Errno> {
        self.require_authority(now, Errno::EACCES)?;
        let mut effects = Vec::with_capacity(8);
        let mut dropped = None;
        if let Some(page_size) = self.page_size.filter(|_| self.position != Position::ZERO) {
            let header = self.options.next_header(self.position, page_size, 0, now);
            let transaction = Transaction { header, pages: Vec::new(), post_apply: Checksum::EMPTY };
            effects.push(Effect::AppendPending);
            effects.push(Effect::Append(Box::new(transaction.clone())));
            effects.push(Effect::SyncLog);
            dropped = Some(Box::new(transaction));
        }
        effects.push(Effect::Perform);
        for file in [File::Journal, File::Wal, File::Shm, File::Sums] {
            effects.push(Effect::Remove(file));
        }
        effects.push(Effect::SyncDirectory);
        self.staged = Staged::Dropped(dropped);
        Ok(effects)
    }

    /// What the database file holds that the last transaction did not.
    pub(super) fn compare<V: View>(&self, view: &V, now: Now) -> Result<Comparison, Errno> {
        if !self.rollback.is_dirty() && !self.unseen_writes {
            return Ok(Comparison::Same);
        }
        let Some(facts) = self.file_facts(view)? else { return Ok(Comparison::Incomplete) };
        let resized = self.page_size.is_some_and(|size| size != facts.page_size) && self.page_count() > 0;
        let whole_file = resized || self.rollback.dirty_unknown || self.unseen_writes;
        let old_count = if resized { 0 } else { self.page_count() };
        let candidates: Vec<PageNumber> = if whole_file {
            (1..=facts.page_count).filter_map(PageNumber::new).collect()
        } else {
            self.rollback.dirty().take_while(|page| page.get() <= facts.page_count).collect()
        };
        let mut pages = Vec::new();
        for page in candidates {
            if page == facts.page_size.lock_page() {
                continue;
            }
            let sum = PageSource::Database.checksum(view, facts.page_size, page)?;
            if resized || page.get() > old_count || sum != self.sums.get(page) {
                pages.push((page, PageSource::Database, sum));
            }
        }
        if !self.planted().makes(Mistake::LeavesOutUnwrittenPages) {
            self.add_unwritten(&mut pages, facts.page_size, facts.page_count, view)?;
        }
        if pages.is_empty() && facts.page_count == self.page_count() {
            return Ok(Comparison::Same);
        }
        let header = self.options.next_header(self.position, facts.page_size, facts.page_count, now);
        Ok(Comparison::Changed(self.commit_of(header, pages, facts.journal_mode, resized)))
    }

    /// What the database file holds that the last transaction did not, where readers see it through the frames of `wal`.
    fn compare_beneath<V: View>(&self, wal: &Generation, view: &V, now: Now) -> Result<Comparison, Errno> {
        let page_size = wal.header().page_size;
        let mut pages = Vec::new();
        for page in (1..=self.page_count()).filter_map(PageNumber::new) {
            let skipped = wal.frames().contains_key(&page) || page == page_size.lock_page();
            if skipped || !self.rollback.may_have_changed(page) {
                continue;
            }
            let sum = PageSource::Database.checksum(view, page_size, page)?;
            if sum != self.sums.get(page) {
                pages.push((page, PageSource::Database, sum));
            }
        }
        if pages.is_empty() {
            return Ok(Comparison::Same);
        }
        let header = self.options.next_header(self.position, page_size, self.page_count(), now);
        Ok(Comparison::Changed(self.commit_of(header, pages, self.journal_mode, false)))
    }

    /// What the database file says of itself; `None` if it is not a database (yet).
    fn file_facts<V: View>(&self, view: &V) -> Result<Option<FileFacts>, Errno> {
        let len = view.len(File::Database)?.unwrap_or(0);
        if len == 0 {
            // Emptied, or never written: a database without pages, if there is a size for them.
            return Ok(self.page_size.map(|page_size| FileFacts {
                page_size,
                page_count: 0,
                journal_mode: JournalMode::Rollback,
            }));
        }
        let mut head = [0; DatabaseHeader::LEN];
        if view.read_at(File::Database, 0, &mut head)? < head.len() {
            return Ok(None);
        }
        let Ok(header) = DatabaseHeader::decode(&head) else { return Ok(None) };
        let size = u64::from(header.page_size.get());
        let in_file = u32::try_from(len.div_ceil(size)).unwrap_or(u32::MAX);
        // A header that an old SQLite left behind says nothing of the size (SQLite file format 1.3.7).
        let page_count = header.valid_page_count().unwrap_or(in_file);
        let journal_mode = JournalMode::of(&header);
        // While a program copies a database here, the header comes first and the pages later. SQLite itself gives the file
        // its length before it ends the journal, and takes a shorter one for damaged.
        if in_file < page_count {
            return Ok(None);
        }
        Ok(Some(FileFacts { page_size: header.page_size, page_count, journal_mode }))
    }

    pub(super) fn commit_of(
        &self,
        header: ltx::Header,
        pages: Vec<(PageNumber, PageSource, Checksum)>,
        journal_mode: JournalMode,
        resized: bool,
    ) -> Commit {
        let sums: Vec<(PageNumber, Checksum)> = pages.iter().map(|(page, _, sum)| (*page, *sum)).collect();
        let nothing = PageSums::default();
        let before = if resized { &nothing } else { &self.sums };
        let post_apply = before.total_after(&sums, header.commit);
        let pages = pages.into_iter().map(|(page, source, _)| (page, source)).collect();
        let transaction = Transaction { header, pages, post_apply };
        Commit { page_size: header.page_size, transaction, journal_mode, resized, sums }
    }

    /// The checksum of a page as it stands in the database file.
    pub(super) fn database_sum<V: View>(&self, view: &V, page: PageNumber) -> Result<Checksum, Errno> {
        match self.page_size {
            Some(page_size) => PageSource::Database.checksum(view, page_size, page),
            None => Ok(Checksum::ZERO),
        }
    }
}

/// How a transaction that was made without a journal enters the log.
pub(super) fn append_unjournaled(commit: &Commit) -> [Effect; 4] {
    [
        // The file first: the log must not promise what the database file may still lose, for there is no journal.
        Effect::Sync(File::Database),
        Effect::AppendPending,
        Effect::Append(Box::new(commit.transaction.clone())),
        Effect::SyncLog,
    ]
}
