//! Opening a database: bringing its files, its WAL and its log back together after whatever happened.
//!
//! Every step can be interrupted and done again. The log decides what is committed; the database file and the WAL may
//! lag behind it, and the WAL may be ahead of it, never the database file.

mod adopt;
mod capture;
mod open_error;
mod redo;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::Driver;
use super::bring_together::{hot_super_journal, roll_back_journal};

pub use open_error::OpenError;
use redo::Follow;

use crate::database::{Database, JournalMode, Options, State};
use crate::log::{Damage, Log};
use crate::sqlite::header::DatabaseHeader;
use crate::sqlite::journal::JournalReader;
use crate::{
    Checksum, Disk, Errno, File, Mistake, Now, PageNumber, PageSize, PageSource, PageSums, Position,
    SavedSums, Txid, View,
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
        let mut scan = Log::open_with(&disk, segment_len_max, trusted, options.planted)?;
        let mut report = Recovered::default();
        if let Some((number, len)) = scan.trim {
            report.trimmed = disk.len(File::Segment(number))?.unwrap_or(len) - len;
            disk.set_len(File::Segment(number), len)?;
        }
        for &number in &scan.unbegun {
            report.trimmed += disk.len(File::Segment(number))?.unwrap_or(0);
            disk.remove(File::Segment(number))?;
        }
        if !options.planted.makes(Mistake::BelievesWhatItReads) {
            scan.prove(&disk)?;
        }
        report.damage = scan.damage;
        let mut log = scan.log;
        let lost = !report.damage.is_empty() && log.first().is_none();
        if let Some(saved) =
            saved.as_ref().filter(|saved| (lost || saved.base == saved.position) && log.first().is_none())
        {
            log.start_at(saved.position);
        }
        let saved = saved
            .filter(|saved| log.leads_from(saved.position) && (lost || log.after(saved.base.txid).is_some()));
        // A log that goes back to the first transaction says the same without them.
        let complete = log.first().is_some_and(|first| first.min_txid == Txid::new(1));
        let saved = saved.or_else(|| complete.then(SavedSums::nothing));
        // A database that was dropped has nothing that the transactions before would be needed for.
        let end = log.end();
        let dropped = end != Position::ZERO && end.checksum == Checksum::EMPTY;
        let saved = if dropped { Some(SavedSums::dropped(end)) } else { saved };
        // One that was created again since has what followed: the removal took the checksums with it.
        let saved = saved.or_else(|| log.last_removal().map(SavedSums::dropped));
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
        if self.disk.len(File::Journal)?.is_none() {
            return Ok(());
        }
        if self.disk.len(File::Database)?.unwrap_or(0) > 0 {
            let name = hot_super_journal(&self.disk)?;
            let rolls_back = self.makes(Mistake::RollsBackAfterSuperJournal);
            let believes = self.makes(Mistake::BelievesAnySuperJournal);
            if name.is_some_and(|name| !rolls_back && (believes || !super_journal_exists(&name))) {
                self.adopt = true;
                return Ok(());
            }
            self.report.rolled_back = !self.makes(Mistake::SkipsRollback) && self.roll_back()?;
        }
        if !self.report.rolled_back || self.makes(Mistake::RemovesJournalEarly) {
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
        let mut reader = JournalReader::of_database(&self.disk)?;
        let hot = reader.is_hot();
        let mut len = self.disk.len(File::Database)?.unwrap_or(0);
        while let Some((page, content)) = reader.next()? {
            let Ok(page_size) = PageSize::new(u32::try_from(content.len()).unwrap_or(0)) else { break };
            let found = PageSource::Database.checksum(&self.disk, page_size, page)?;
            // A page that ends in zeros has the right checksum also where the file ends within it.
            let end = page_size.offset_of(page) + u64::from(page_size.get());
            if found != self.state.sums.get(page) || end > len {
                self.disk.write_at(File::Database, page_size.offset_of(page), content)?;
                len = len.max(end);
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
        if self.makes(Mistake::BelievesStaleSums) {
            return Ok(());
        }
        self.follow_log(after, Follow::Sums)?;
        let (expected, found) = (self.log.end(), self.state.sums.total());
        if expected != Position::ZERO && found != expected.checksum {
            return Err(OpenError::Mismatch { expected, found });
        }
        Ok(())
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
        let believed = self.makes(Mistake::BelievesCleanStart) && saved.position == self.log.end();
        if !clean && !believed {
            return Ok(true);
        }
        self.state.journal_mode =
            self.header()?.map_or(JournalMode::Rollback, |header| JournalMode::of(&header));
        Ok(false)
    }

    fn recover(&mut self) -> Result<(), OpenError> {
        self.found_len = self.disk.len(File::Database)?.unwrap_or(0);
        if let Some(saved) = self.saved.take() {
            if self.makes(Mistake::CapturesAfterRedo) {
                self.follow_log(saved.base.txid, Follow::Redo)?;
            }
            if !self.makes(Mistake::SkipsCapture) {
                self.capture_wal()?;
            }
            if self.adopt {
                self.backfill_wal()?;
                self.adopt_file()?;
                self.follow_log(saved.base.txid, Follow::Rewrite)?;
            } else {
                let redone = self.makes(Mistake::CapturesAfterRedo);
                if !redone && !self.makes(Mistake::SkipsRedo) {
                    self.follow_log(saved.base.txid, Follow::Redo)?;
                    self.check_whole()?;
                }
                if self.report.rolled_back && !self.makes(Mistake::SkipsFreelist) {
                    // SQLite does not journal pages of the freelist, so a transaction that used some and was rolled
                    // back has changed them. Nothing reads them, but the checksum knows.
                    self.trim_file()?;
                    self.adopt_file()?;
                }
            }
        } else {
            if !self.adopt {
                self.follow_log(Txid::ZERO, Follow::Redo)?;
            }
            let in_wal = self.backfill_wal()?;
            self.scan_file(&in_wal)?;
        }
        self.settle()
    }

    /// Makes the recovered state durable, so that it is the point the next recovery starts from.
    fn settle(&mut self) -> Result<(), OpenError> {
        self.log.sync(&self.disk)?;
        let page_size = self.state.page_size.filter(|_| self.state.sums.page_count() > 0);
        if let Some(page_size) = page_size {
            self.disk.set_len(File::Database, database_len(page_size, &self.state.sums))?;
            if !self.makes(Mistake::SettlesBeforeSync) {
                self.disk.sync(File::Database)?;
            }
            // Before the new base: over it, a journal that is rolled back again would undo what is not redone.
            self.disk.remove(File::Journal)?;
            self.disk.sync_directory()?;
            let position = self.log.end();
            let saved = SavedSums { page_size, base: position, position, sums: self.state.sums.clone() };
            self.disk.set_len(File::SumsNew, 0)?;
            self.disk.write_at(File::SumsNew, 0, &saved.encode())?;
            if !self.makes(Mistake::RenamesUnsyncedSums) {
                self.disk.sync(File::SumsNew)?;
            }
            self.disk.rename(File::SumsNew, File::Sums)?;
            self.disk.sync_directory()?;
            self.state.journal_mode =
                self.header()?.map_or(JournalMode::Rollback, |header| JournalMode::of(&header));
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

    fn makes(&self, mistake: Mistake) -> bool {
        self.options.planted.makes(mistake)
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
            overwritten: false,
            expired: VecDeque::new(),
            preservers: Vec::new(),
        };
        (driver, Recovered { position, ..self.report })
    }
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
