//! Opening a database: bringing its files, its WAL and its log back together after whatever happened.
//!
//! Every step can be interrupted and done again. The log decides what is committed; the database file and the WAL may
//! lag behind it, and the WAL may be ahead of it, never the database file.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::bring_together::{hot_super_journal, roll_back_journal, write_back};
use super::wal_scan::{self, WalTransaction};
use super::{Driver, StoredFile};
use crate::database::{Database, JournalMode, Options, State};
use crate::log::{AppendError, Damage, Log, Stored};
use crate::sqlite::header::DatabaseHeader;
use crate::sqlite::journal::JournalReader;
use crate::sqlite::wal::{self, WalHeader};
use crate::{
    Checksum, Disk, Errno, File, FileView, Now, PageNumber, PageSize, PageSource, PageSums, Position, ReadAt,
    SavedSums, Transaction, Txid, View, ltx,
};

/// What recovery found and did, for the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The position the database is at now.
    pub position: Position,
    /// An interrupted transaction was rolled back from its journal.
    pub rolled_back: bool,
    /// Transactions that were in the WAL only and are in the log now.
    pub captured: usize,
    /// Transactions of the log that were written to the database file.
    pub redone: usize,
    /// Changes that had been made without a journal became a transaction.
    pub adopted: bool,
    /// Bytes of an incomplete transaction at the end of the log, which was never promised to anyone.
    pub trimmed: u64,
    /// Parts of the log that could not be read. Older transactions cannot be served to peers any more.
    pub damage: Vec<Damage>,
    /// All pages of the database were read.
    pub scanned: bool,
}

/// Why a database cannot be opened. Nothing was thrown away.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error("cannot read or write the database's files: {0}")]
    Disk(#[from] Errno),
    /// The log could not be appended to.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// An LTX file that is needed is damaged.
    #[error("transactions {from} to {to} are needed and damaged in the log: {reason}")]
    Log {
        /// The first of them.
        from: Txid,
        /// The last of them.
        to: Txid,
        /// What is wrong.
        reason: ltx::DecodeError,
    },
    /// The database file does not hold what the log says.
    #[error(
        "the database file has checksum {found}, the log ends at {expected}: the file was damaged or changed from outside; \
         restore it from a replica or a backup"
    )]
    Mismatch {
        /// The position the log ends at.
        expected: Position,
        /// The checksum of the database file.
        found: Checksum,
    },
    /// The database file is too short for what the log says.
    #[error(
        "the database file has {found_len} bytes and lacks page {page}, which it must have at {expected}: the file was \
         truncated or removed from outside; restore it from a replica or a backup"
    )]
    Short {
        /// Bytes of the file.
        found_len: u64,
        /// The first page that is missing.
        page: PageNumber,
        /// The position the log ends at.
        expected: Position,
    },
    /// The database was being replaced without a journal when the node died, and is not whole.
    #[error(
        "the database file was being overwritten when the node stopped and is not whole; copy a whole database over it \
         or restore it from a replica or a backup"
    )]
    Incomplete,
}

impl<D: Disk> Driver<D> {
    /// Opens a database, bringing its files to the last committed transaction.
    ///
    /// `super_journal_exists` tells whether the file with this name is there: a journal that names a missing one
    /// belongs to a transaction that was committed (SQLite file format 3).
    ///
    /// # Errors
    /// The database cannot be used as it is; nothing was thrown away.
    pub fn open(
        disk: D,
        options: Options,
        segment_len_max: u64,
        super_journal_exists: &dyn Fn(&[u8]) -> bool,
        now: Now,
    ) -> Result<(Self, Recovered), OpenError> {
        let mut recovery = Recovery::begin(disk, options, segment_len_max, now)?;
        recovery.load_sums()?;
        recovery.end_journal(super_journal_exists)?;
        if recovery.needs_work()? {
            recovery.recover()?;
        }
        Ok(recovery.finish())
    }
}

/// A recovery under way.
struct Recovery<D> {
    disk: D,
    options: Options,
    now: Now,
    log: Log,
    /// The saved checksums, unless they do not fit the log. Once loaded, the state has those of the log's end.
    saved: Option<SavedSums>,
    /// The database file may be ahead of the log.
    adopt: bool,
    /// Pages written from the log that the database file did not reach to.
    regrown: BTreeSet<PageNumber>,
    /// Bytes of the database file before anything was written to it.
    found_len: u64,
    state: State,
    report: Recovered,
}

impl<D: Disk> Recovery<D> {
    fn begin(disk: D, options: Options, segment_len_max: u64, now: Now) -> Result<Self, OpenError> {
        let saved = read_all(&disk, File::Sums)?.as_deref().and_then(SavedSums::decode);
        let trusted = saved.as_ref().map_or(Txid::ZERO, |saved| saved.position.txid);
        let mut scan = Log::open(&disk, segment_len_max, trusted)?;
        let mut report = Recovered::default();
        if let Some((number, len)) = scan.trim {
            report.trimmed = disk.len(File::Segment(number))?.unwrap_or(len) - len;
            disk.set_len(File::Segment(number), len)?;
        }
        scan.prove(&disk)?;
        report.damage = scan.damage;
        let mut log = scan.log;
        let lost = !report.damage.is_empty() && log.first().is_none();
        if let Some(saved) =
            saved.as_ref().filter(|saved| (lost || saved.base == saved.position) && log.first().is_none())
        {
            log.start_at(saved.position);
        }
        let saved = saved.filter(|saved| {
            log.end() == saved.position
                || log.find(saved.position.txid).is_some_and(|at| at.post == saved.position)
        });
        // A log that goes back to the first transaction says the same without them.
        let complete = log.first().is_some_and(|first| first.min_txid == Txid::new(1));
        let saved = saved.or_else(|| complete.then(SavedSums::nothing));
        // Without the log nobody knows whether something was committed after the checksums were saved: if it was, the
        // database file or the WAL has it.
        let adopt = lost || disk.len(File::Unjournaled)?.is_some();
        Ok(Self {
            disk,
            options,
            now,
            log,
            saved,
            adopt,
            regrown: BTreeSet::new(),
            found_len: 0,
            state: State::empty(),
            report,
        })
    }

    /// Rolls an interrupted transaction back, or lets it stand if its super-journal says that it was committed.
    ///
    /// A hot journal stays until the log has everything: if this recovery is interrupted, the next one needs to know.
    fn end_journal(&mut self, super_journal_exists: &dyn Fn(&[u8]) -> bool) -> Result<(), OpenError> {
        let Some(journal_len) = self.disk.len(File::Journal)? else { return Ok(()) };
        if self.disk.len(File::Database)?.unwrap_or(0) > 0 {
            let name = hot_super_journal(&self.disk, journal_len)?;
            if name.is_some_and(|name| !super_journal_exists(&name)) {
                self.adopt = true;
                return Ok(());
            }
            self.report.rolled_back = self.roll_back()?;
        }
        if !self.report.rolled_back {
            self.disk.remove(File::Journal)?;
            self.disk.sync_directory()?;
        }
        Ok(())
    }

    /// Rolls the journal's transaction back. Returns whether there was one.
    fn roll_back(&self) -> Result<bool, OpenError> {
        if self.saved.is_none() {
            return Ok(roll_back_journal(&self.disk)?);
        }
        // A page that is as the log says needs no journal. That matters where a loss of power tore the journal's own
        // record of it, which SQLite's checksums do not always notice.
        let journal_len = self.disk.len(File::Journal)?.unwrap_or(0);
        let mut reader = JournalReader::new(FileView { view: &self.disk, file: File::Journal }, journal_len)?;
        let hot = reader.is_hot();
        while let Some((page, content)) = reader.next()? {
            let Ok(page_size) = PageSize::new(u32::try_from(content.len()).unwrap_or(0)) else { break };
            let found = self.page_sum(page_size, page, PageSource::Database)?;
            if found != self.state.sums.get(page) {
                self.disk.write_at(File::Database, page_size.offset_of(page), content)?;
            }
        }
        Ok(hot)
    }

    /// Takes the saved checksums into the state and brings them to the end of the log.
    fn load_sums(&mut self) -> Result<(), OpenError> {
        let Some(saved) = &self.saved else { return Ok(()) };
        let after = saved.position.txid;
        self.state.page_size = Some(saved.page_size);
        self.state.sums = saved.sums.clone();
        self.follow_log(after, false)
    }

    /// Whether anything but loading the saved state is to be done.
    fn needs_work(&mut self) -> Result<bool, OpenError> {
        let Some(saved) = &self.saved else { return Ok(true) };
        let clean = !self.adopt
            && !self.report.rolled_back
            && saved.base == self.log.end()
            && saved.position == self.log.end()
            && self.disk.len(File::Wal)?.unwrap_or(0) == 0
            && self.disk.len(File::Database)?.unwrap_or(0) == database_len(saved.page_size, &saved.sums);
        if !clean {
            return Ok(true);
        }
        self.state.journal_mode = self.header()?.map_or(JournalMode::Rollback, |header| mode_of(&header));
        Ok(false)
    }

    fn recover(&mut self) -> Result<(), OpenError> {
        self.found_len = self.disk.len(File::Database)?.unwrap_or(0);
        if let Some(saved) = self.saved.take() {
            self.capture_wal()?;
            if self.adopt {
                self.backfill_wal()?;
                self.adopt_file()?;
            } else {
                self.follow_log(saved.base.txid, true)?;
                self.check_whole()?;
                if self.report.rolled_back {
                    // SQLite does not journal pages of the freelist, so a transaction that used some and was rolled
                    // back has changed them. Nothing reads them, but the checksum knows.
                    self.trim_file()?;
                    self.adopt_file()?;
                }
            }
        } else {
            if !self.adopt {
                self.follow_log(Txid::ZERO, true)?;
            }
            let in_wal = self.backfill_wal()?;
            self.scan_file(&in_wal)?;
        }
        self.settle()
    }

    /// Goes through the log after `after`: takes the pages' checksums into the state or, with `write`, their content
    /// into the database file.
    fn follow_log(&mut self, after: Txid, write: bool) -> Result<(), OpenError> {
        let stored: Vec<Stored> = match self.log.after(after) {
            Some(stored) => stored.copied().collect(),
            // Only with no saved checksums: then the log is gone through from its beginning.
            None => self
                .log
                .after(self.log.first().map_or(Txid::ZERO, |first| first.min_txid.prev()))
                .map_or_else(Vec::new, |stored| stored.copied().collect()),
        };
        for stored in stored {
            self.follow_file(stored, write)?;
            self.report.redone += usize::from(write);
        }
        Ok(())
    }

    fn follow_file(&mut self, stored: Stored, write: bool) -> Result<(), OpenError> {
        let damaged = |reason| OpenError::Log { from: stored.min_txid, to: stored.post.txid, reason };
        let file = StoredFile::new(&self.disk, stored);
        let mut decoder = ltx::Decoder::new();
        let mut chunk = alloc::vec![0; 64 * 1024];
        let mut offset = 0;
        let mut page_size = PageSize::MIN;
        loop {
            while let Some(item) = decoder.next().map_err(damaged)? {
                match item {
                    ltx::Item::Header(header) => {
                        page_size = header.page_size;
                        if !write {
                            if header.is_snapshot() || self.state.page_size != Some(page_size) {
                                self.state.sums = PageSums::default();
                            }
                            self.state.page_size = Some(page_size);
                            self.state.sums.resize(header.commit);
                        }
                    }
                    ltx::Item::Page { number, data } if write => {
                        if page_size.offset_of(number) + u64::from(page_size.get()) > self.found_len {
                            self.regrown.insert(number);
                        }
                        self.disk.write_at(File::Database, page_size.offset_of(number), data)?;
                    }
                    ltx::Item::Page { number, data } => {
                        self.state.sums.set(number, Checksum::of_page(number, data));
                    }
                    // The file gets its length at the end of all: were it shorter for a while, a crash could not tell that
                    // from a file that was truncated.
                    ltx::Item::End(_) => {}
                }
            }
            let read = file.read_at(offset, &mut chunk)?;
            if read == 0 {
                return decoder.finish().map_err(damaged);
            }
            decoder.feed(&chunk[..read]);
            offset += read as u64;
        }
    }

    /// Gives the database file the length that the log says.
    fn trim_file(&self) -> Result<(), OpenError> {
        let Some(page_size) = self.state.page_size else { return Ok(()) };
        Ok(self.disk.set_len(File::Database, database_len(page_size, &self.state.sums))?)
    }

    /// Checks that the database file has every page it should: it reached to it before, or the log brought it back.
    fn check_whole(&self) -> Result<(), OpenError> {
        let Some(page_size) = self.state.page_size else { return Ok(()) };
        let whole = u32::try_from(self.found_len / u64::from(page_size.get())).unwrap_or(u32::MAX);
        let mut lost = (whole.saturating_add(1)..=self.state.sums.page_count()).filter_map(PageNumber::new);
        match lost.find(|page| !self.regrown.contains(page) && *page != page_size.lock_page()) {
            Some(page) => Err(OpenError::Short { found_len: self.found_len, page, expected: self.log.end() }),
            None => Ok(()),
        }
    }

    /// Appends to the log what is committed in the WAL and not there yet. The state must be that of the log's end.
    fn capture_wal(&mut self) -> Result<(), OpenError> {
        let Some((header, transactions)) = wal_scan::scan(&self.disk)? else { return Ok(()) };
        let covered = self.covered(&header);
        let mut frames = BTreeMap::new();
        for transaction in &transactions {
            if transaction.start >= covered {
                self.capture(&header, transaction, &frames)?;
            }
            frames.extend(transaction.frames.iter().map(|(page, offset, _)| (*page, *offset)));
        }
        self.log.sync(&self.disk)?;
        Ok(())
    }

    /// Bytes of the WAL whose transactions are in the log.
    fn covered(&self, header: &WalHeader) -> u64 {
        let coverage = self.log.coverage().filter(|coverage| coverage.salt == header.salt);
        coverage.map_or(wal::HEADER_LEN as u64, |coverage| coverage.end)
    }

    fn capture(
        &mut self,
        header: &WalHeader,
        found: &WalTransaction,
        earlier: &BTreeMap<PageNumber, u64>,
    ) -> Result<(), OpenError> {
        let page_size = header.page_size;
        let old_count = self.state.sums.page_count();
        let mut pages: BTreeMap<PageNumber, (PageSource, Checksum)> = BTreeMap::new();
        for number in old_count + 1..=found.commit {
            let Some(page) = PageNumber::new(number).filter(|page| *page != page_size.lock_page()) else {
                continue;
            };
            let source = earlier.get(&page).map_or(PageSource::Database, |offset| PageSource::Frame(*offset));
            pages.insert(page, (source, self.page_sum(page_size, page, source)?));
        }
        for (page, offset, sum) in &found.frames {
            let in_database = page.get() <= found.commit && *page != page_size.lock_page();
            if in_database && (page.get() > old_count || self.state.sums.get(*page) != *sum) {
                pages.insert(*page, (PageSource::Frame(*offset), *sum));
            }
        }
        if pages.is_empty() && found.commit == old_count {
            return Ok(());
        }
        let mut ltx_header = self.next_header(page_size, found.commit);
        ltx_header.wal_salt = header.salt;
        ltx_header.wal_offset = found.start;
        ltx_header.wal_size = found.end - found.start;
        self.state.page_size = Some(page_size);
        self.append(ltx_header, pages)?;
        self.report.captured += 1;
        Ok(())
    }

    /// Appends a transaction and takes it into the state.
    fn append(
        &mut self,
        header: ltx::Header,
        pages: BTreeMap<PageNumber, (PageSource, Checksum)>,
    ) -> Result<(), OpenError> {
        self.state.sums.resize(header.commit);
        for (page, (_, sum)) in &pages {
            self.state.sums.set(*page, *sum);
        }
        let pages = pages.into_iter().map(|(page, (source, _))| (page, source)).collect();
        let transaction = Transaction { header, pages, post_apply: self.state.sums.total() };
        self.log.append(&self.disk, &transaction)?;
        Ok(())
    }

    /// Copies everything committed in the WAL into the database file, as SQLite's checkpoint does. Returns the pages
    /// of transactions that the log does not have.
    fn backfill_wal(&mut self) -> Result<BTreeMap<PageNumber, u64>, OpenError> {
        let mut new = BTreeMap::new();
        let Some((header, transactions)) = wal_scan::scan(&self.disk)? else { return Ok(new) };
        if transactions.is_empty() {
            return Ok(new);
        }
        let covered = self.covered(&header);
        for transaction in transactions.iter().filter(|transaction| transaction.start >= covered) {
            new.extend(transaction.frames.iter().map(|(page, offset, _)| (*page, *offset)));
        }
        write_back(&self.disk, &header, &transactions)?;
        self.state.page_size = Some(header.page_size);
        Ok(new)
    }

    /// Makes a transaction of what the database file has and the log does not, where the checksums at the log's end are
    /// known.
    fn adopt_file(&mut self) -> Result<(), OpenError> {
        let (page_size, sums) = self.read_file()?;
        if self.state.page_size != Some(page_size) {
            self.state.sums = PageSums::default();
        }
        let mut pages = BTreeMap::new();
        for (number, sum) in (1..).zip(sums.iter()) {
            let Some(page) = PageNumber::new(number).filter(|page| *page != page_size.lock_page()) else {
                continue;
            };
            if number > self.state.sums.page_count() || self.state.sums.get(page) != sum {
                pages.insert(page, (PageSource::Database, sum));
            }
        }
        if pages.is_empty() && sums.page_count() == self.state.sums.page_count() {
            return Ok(());
        }
        self.state.page_size = Some(page_size);
        self.append(self.next_header(page_size, sums.page_count()), pages)?;
        self.report.adopted = true;
        Ok(())
    }

    /// Reads the whole database file, without knowing what it should hold. What is new in it becomes a transaction: the
    /// pages that only the WAL had, or all of them if the file may be anything.
    fn scan_file(&mut self, in_wal: &BTreeMap<PageNumber, u64>) -> Result<(), OpenError> {
        if self.disk.len(File::Database)?.unwrap_or(0) == 0 && !self.adopt {
            let end = self.log.end();
            if end != Position::ZERO && end.checksum != Checksum::EMPTY {
                return Err(OpenError::Mismatch { expected: end, found: Checksum::EMPTY });
            }
            return Ok(());
        }
        let (page_size, mut sums) = self.read_file()?;
        let end = self.log.end();
        if sums.total() != end.checksum && !self.adopt {
            // Transactions of a LiteFS primary may leave pages out that it never wrote.
            let present = sums.without_zero_pages(page_size);
            if present.total() == end.checksum {
                sums = present;
            }
        }
        if sums.total() != end.checksum && !(end == Position::ZERO && sums.page_count() == 0) {
            // A database without a log was put here by a person: its first transaction is all of it.
            let whole = self.adopt || end == Position::ZERO;
            if !whole && in_wal.is_empty() {
                return Err(OpenError::Mismatch { expected: end, found: sums.total() });
            }
            let mut pages = BTreeMap::new();
            for (number, sum) in (1..).zip(sums.iter()) {
                let Some(page) = PageNumber::new(number) else { continue };
                if page != page_size.lock_page() && (whole || in_wal.contains_key(&page)) {
                    pages.insert(page, (PageSource::Database, sum));
                }
            }
            self.state.sums = sums.clone();
            self.append(self.next_header(page_size, sums.page_count()), pages)?;
            self.report.adopted = whole;
            self.report.captured += usize::from(!whole);
        }
        self.state.page_size = Some(page_size);
        self.state.sums = sums;
        Ok(())
    }

    /// The page size and all page checksums of the database file.
    fn read_file(&mut self) -> Result<(PageSize, PageSums), OpenError> {
        self.report.scanned = true;
        let len = self.disk.len(File::Database)?.unwrap_or(0);
        if len == 0 {
            return Ok((self.state.page_size.unwrap_or(PageSize::MIN), PageSums::default()));
        }
        let header = self.header()?.ok_or(OpenError::Incomplete)?;
        let page_size = header.page_size;
        let in_file = u32::try_from(len.div_ceil(u64::from(page_size.get()))).unwrap_or(u32::MAX);
        let page_count = header.valid_page_count().unwrap_or(in_file);
        if in_file < page_count && self.adopt {
            return Err(OpenError::Incomplete);
        }
        let mut sums = PageSums::default();
        sums.resize(page_count);
        for page in (1..=page_count).filter_map(PageNumber::new) {
            if page != page_size.lock_page() {
                sums.set(page, self.page_sum(page_size, page, PageSource::Database)?);
            }
        }
        Ok((page_size, sums))
    }

    fn page_sum(
        &self,
        page_size: PageSize,
        page: PageNumber,
        source: PageSource,
    ) -> Result<Checksum, OpenError> {
        let mut content = alloc::vec![0; page_size.bytes()];
        let (file, offset) = match source {
            PageSource::Database => (File::Database, page_size.offset_of(page)),
            PageSource::Frame(frame) => (File::Wal, frame + wal::FRAME_HEADER_LEN as u64),
        };
        let read = self.disk.read_at(file, offset, &mut content)?;
        content[read..].fill(0);
        Ok(Checksum::of_page(page, &content))
    }

    fn next_header(&self, page_size: PageSize, commit: u32) -> ltx::Header {
        let end = self.log.end();
        let txid = end.txid.next();
        ltx::Header {
            compressed: self.options.compress,
            page_size,
            commit,
            min_txid: txid,
            max_txid: txid,
            timestamp_ms: self.now.wall_ms,
            pre_apply: if txid == Txid::new(1) { Checksum::ZERO } else { end.checksum },
            wal_offset: 0,
            wal_size: 0,
            wal_salt: [0, 0],
            node_id: self.options.node_id,
        }
    }

    /// Makes the recovered state durable, so that it is the point the next recovery starts from.
    fn settle(&mut self) -> Result<(), OpenError> {
        self.log.sync(&self.disk)?;
        let page_size = self.state.page_size.filter(|_| self.state.sums.page_count() > 0);
        if let Some(page_size) = page_size {
            self.disk.set_len(File::Database, database_len(page_size, &self.state.sums))?;
            self.disk.sync(File::Database)?;
            // Before the new base: over it, a journal that is rolled back again would undo what is not redone.
            self.disk.remove(File::Journal)?;
            self.disk.sync_directory()?;
            let position = self.log.end();
            let saved = SavedSums { page_size, base: position, position, sums: self.state.sums.clone() };
            self.disk.set_len(File::SumsNew, 0)?;
            self.disk.write_at(File::SumsNew, 0, &saved.encode())?;
            self.disk.sync(File::SumsNew)?;
            self.disk.rename(File::SumsNew, File::Sums)?;
            self.disk.sync_directory()?;
            self.state.journal_mode = self.header()?.map_or(JournalMode::Rollback, |header| mode_of(&header));
        } else {
            self.disk.remove(File::Sums)?;
            if self.log.end() != Position::ZERO {
                // Dropped: the log remembers the position, and nothing else is left.
                self.disk.remove(File::Database)?;
            }
            self.state = State::empty();
        }
        self.disk.remove(File::Journal)?;
        self.disk.remove(File::Wal)?;
        self.disk.remove(File::Shm)?;
        self.disk.remove(File::Unjournaled)?;
        self.disk.sync_directory()?;
        Ok(())
    }

    fn header(&self) -> Result<Option<DatabaseHeader>, Errno> {
        let mut head = [0; DatabaseHeader::LEN];
        let read = self.disk.read_at(File::Database, 0, &mut head)?;
        Ok(DatabaseHeader::decode(&head[..read]).ok())
    }

    fn finish(self) -> (Driver<D>, Recovered) {
        let position = self.log.end();
        let last = self.log.find(position.txid);
        let timestamp_ms = last.map_or(0, |stored| stored.timestamp_ms);
        let state = State { position, timestamp_ms, ..self.state };
        let driver = Driver {
            disk: self.disk,
            database: Database::new(self.options, state),
            log: self.log,
            base: position,
            append_error: None,
            database_sync_failed: false,
            preservers: Vec::new(),
        };
        (driver, Recovered { position, ..self.report })
    }
}

fn mode_of(header: &DatabaseHeader) -> JournalMode {
    if header.is_wal() { JournalMode::Wal } else { JournalMode::Rollback }
}

fn database_len(page_size: PageSize, sums: &PageSums) -> u64 {
    u64::from(page_size.get()) * u64::from(sums.page_count())
}

pub(super) fn read_all<V: View>(view: &V, file: File) -> Result<Option<Vec<u8>>, Errno> {
    let Some(len) = view.len(file)? else { return Ok(None) };
    let mut bytes = alloc::vec![0; usize::try_from(len).map_err(|_| Errno::EFBIG)?];
    let mut filled = 0;
    while filled < bytes.len() {
        let read = view.read_at(file, filled as u64, &mut bytes[filled..])?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    bytes.truncate(filled);
    Ok(Some(bytes))
}
