//! The machine of one database: what its programs do to its files comes in, what must be done instead goes out.
//!
//! It decides at which operation a transaction is committed, whether it may be, and what the log has to say of it.
//! It reads the files through a [`View`] and changes them only through the [`Effect`]s it returns. A request is
//! carried out in three calls: [`Database::begin`] decides, the drive loop performs the effects in order, and
//! [`Database::complete`] or [`Database::fail`] ends it. Nothing is half done in between: the machine's own state
//! changes in `complete`.

mod apply;
mod authority;
mod commit;
mod effect;
mod journal_mode;
mod options;
mod received;
mod repair;
mod request;
mod rollback_capture;
mod staged;
mod state;
mod stop_reason;
mod wal_capture;
mod write;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

pub use apply::{Admission, Applied, ApplyError};
pub use authority::Authority;
pub use effect::Effect;
pub use journal_mode::JournalMode;
pub use options::Options;
pub use received::{Inspector, Received};
pub use request::Request;
pub use state::State;
pub use stop_reason::StopReason;

use crate::sqlite::wal::{WalChecksum, WalHeader};
use crate::{
    Errno, Mistake, Now, PageNumber, PageSize, PageSource, PageSums, Planted, Position, Transaction, View,
};
use rollback_capture::RollbackCapture;
use staged::{Commit, Staged};
use wal_capture::Generation;

/// Bytes of the WAL that a refused write covers: whoever retries part of it is refused too.
#[derive(Clone, Copy, Debug)]
struct Rejected {
    from: u64,
    to: u64,
    errno: Errno,
}

/// The machine of one database.
#[derive(Debug)]
pub struct Database {
    options: Options,
    authority: Authority,
    page_size: Option<PageSize>,
    journal_mode: JournalMode,
    position: Position,
    timestamp_ms: i64,
    sums: PageSums,
    wal: Option<Generation>,
    rejected: Option<Rejected>,
    /// Where the last write to the WAL began and ended, in bytes.
    last_wal_write: (u64, u64),
    /// A writer died between the commit frame and the wal-index, and another one wants to write over it.
    in_doubt: bool,
    rollback: RollbackCapture,
    /// Files created since their directory was synced: a sync of the file has to sync its name too.
    new_journal: bool,
    new_wal: bool,
    /// The database file has all transactions up to here, though perhaps not durably.
    backfilled: Position,
    /// The mark of writes without a journal is on disk.
    marked_unjournaled: bool,
    /// Writes to the database file may go past the machine.
    unseen_writes: bool,
    /// Captured, not yet in the log.
    pending: VecDeque<Transaction>,
    /// Durable through the WAL, if the log is durable up to [`Self::outside_wal`].
    wal_durable: Position,
    /// The last transaction that did not come through the WAL, so that only the log has it.
    outside_wal: Position,
    /// A sync of this generation of the WAL failed: it is not known what of it is on disk.
    wal_sync_failed: bool,
    /// The transaction that is being ended spans several databases and was committed before this one knew.
    committed_elsewhere: bool,
    /// The log could not take a transaction the last time; who commits next tries it again first.
    log_refuses: bool,
    stopped: Option<StopReason>,
    staged: Staged,
}

impl Database {
    /// The machine of a database that is in `state`, with nothing in its journal or WAL.
    pub fn new(options: Options, state: State) -> Self {
        Self {
            options,
            authority: Authority::ReadOnly,
            page_size: state.page_size,
            journal_mode: state.journal_mode,
            position: state.position,
            timestamp_ms: state.timestamp_ms,
            sums: state.sums,
            wal: None,
            rejected: None,
            last_wal_write: (0, 0),
            in_doubt: false,
            rollback: RollbackCapture::default(),
            new_journal: false,
            new_wal: false,
            backfilled: state.position,
            marked_unjournaled: false,
            unseen_writes: false,
            pending: VecDeque::new(),
            wal_durable: Position::ZERO,
            outside_wal: state.position,
            wal_sync_failed: false,
            committed_elsewhere: false,
            log_refuses: false,
            stopped: None,
            staged: Staged::Nothing,
        }
    }

    /// The position of the last committed transaction.
    pub fn position(&self) -> Position {
        self.position
    }

    /// When the last transaction was committed, in milliseconds since the Unix epoch; zero before the first.
    pub fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// Pages of the database, zero if it was never written or was dropped.
    pub fn page_count(&self) -> u32 {
        self.sums.page_count()
    }

    /// Bytes in a page, once known.
    pub fn page_size(&self) -> Option<PageSize> {
        self.page_size
    }

    /// How SQLite keeps transactions undoable at the moment.
    pub fn journal_mode(&self) -> JournalMode {
        self.journal_mode
    }

    /// The checksums of all pages.
    pub fn sums(&self) -> &PageSums {
        &self.sums
    }

    /// The newest committed frame of each page in the WAL, as its offset in bytes.
    pub fn wal_frames(&self) -> impl Iterator<Item = (PageNumber, u64)> + '_ {
        self.wal.iter().flat_map(|wal| wal.frames()).map(|(page, offset)| (*page, *offset))
    }

    /// The salts of the WAL and where its committed frames end, if it has a header.
    pub fn wal_end(&self) -> Option<([u32; 2], u64)> {
        self.wal.as_ref().map(|wal| (wal.header().salt, wal.committed_end()))
    }

    /// The last transaction that did not come through the WAL. A synced WAL is worth nothing before the log is durable up
    /// to here.
    pub fn outside_wal(&self) -> Position {
        self.outside_wal
    }

    /// What is durable through a synced WAL. The log may know more.
    pub fn wal_durable(&self) -> Position {
        self.wal_durable
    }

    /// The database file holds every transaction up to here; after a sync of it, durably.
    pub fn backfilled(&self) -> Position {
        self.backfilled
    }

    /// Everything committed is in the database file, though perhaps not durably.
    pub fn checkpointed(&mut self) {
        self.backfilled = self.position;
    }

    /// The WAL is empty, and everything that was in it is in the database file.
    pub fn wal_given_up(&mut self) {
        self.wal = None;
        self.wal_sync_failed = false;
        self.backfilled = self.position;
    }

    /// The mark of writes without a journal was taken away: everything in the database file is in the log.
    pub fn unjournaled_cleared(&mut self) {
        self.marked_unjournaled = false;
    }

    /// Whether the mark of writes without a journal can be taken away.
    pub fn may_clear_unjournaled(&self) -> bool {
        self.marked_unjournaled && !self.rollback.is_dirty()
    }

    /// Bytes of a write to the WAL at `offset` that can be handled at once: up to the end of the frame it begins in.
    pub fn wal_write_len(&self, offset: u64, len: usize) -> usize {
        let header = crate::sqlite::wal::HEADER_LEN as u64;
        let rest = match &self.wal {
            _ if offset < header => header - offset,
            Some(wal) => wal.frame_rest(offset),
            None => return len,
        };
        len.min(usize::try_from(rest).unwrap_or(usize::MAX))
    }

    /// Whether a transaction is open in rollback mode or a hot journal waits: nothing may be applied over it.
    pub fn has_active_journal(&self) -> bool {
        self.rollback.journal_active
    }

    /// Whether a sync of the WAL failed since the WAL was begun.
    pub fn wal_sync_failed(&self) -> bool {
        self.wal_sync_failed
    }

    /// A sync of the WAL failed.
    pub fn set_wal_sync_failed(&mut self) {
        self.wal_sync_failed = !self.planted().makes(Mistake::ForgetsFailedWalSync);
    }

    /// Whether the request under way ends the journal of a transaction that is in the log, or about to be.
    pub fn must_end_journal(&self) -> bool {
        matches!(self.staged, Staged::JournalEnd(Some(_)))
    }

    /// Whether the database file may hold changes that no transaction has yet.
    pub fn is_dirty(&self) -> bool {
        self.rollback.is_dirty()
    }

    /// Whether a committed transaction has to be published in the wal-index on behalf of a writer that died.
    /// Asking clears it.
    pub fn take_in_doubt(&mut self) -> bool {
        core::mem::take(&mut self.in_doubt)
    }

    /// Why the database takes no more changes, if so.
    pub fn stopped(&self) -> Option<StopReason> {
        self.stopped
    }

    /// Stops taking changes.
    pub fn stop(&mut self, reason: StopReason) {
        if self.planted().makes(Mistake::ForgetsFailedLogSync) && matches!(reason, StopReason::LogSync(_)) {
            return;
        }
        self.stopped.get_or_insert(reason);
    }

    /// Says whether transactions may be committed from now on.
    pub fn set_authority(&mut self, authority: Authority) {
        self.authority = authority;
    }

    /// Lets transactions be committed for longer: [`Authority::extended_to`].
    pub fn extend_authority(&mut self, longer: Authority) {
        self.authority = self.authority.extended_to(longer);
    }

    /// The mistake that is planted.
    pub(crate) fn planted(&self) -> Planted {
        self.options.planted
    }

    /// Whether this node follows another one, so that transactions only come from there.
    pub fn is_read_only(&self) -> bool {
        self.authority == Authority::ReadOnly
    }

    /// Says whether writes to the database file may go past the machine from now on. While they may, every
    /// transaction in rollback mode is found by comparing the whole file.
    pub fn set_unseen_writes(&mut self, unseen: bool) {
        let unseen = unseen && !self.planted().makes(Mistake::MissesUnseenWrites);
        // Who rolls back the transaction that is left does not restore the pages that were free before it.
        self.rollback.dirty_unknown |= self.unseen_writes && self.rollback.journal_active;
        self.unseen_writes = unseen;
    }

    /// The oldest captured transaction that is not in the log yet.
    pub fn next_pending(&self) -> Option<&Transaction> {
        self.pending.front()
    }

    /// The transaction that [`Self::next_pending`] named is in the log.
    pub fn pending_appended(&mut self) {
        self.pending.pop_front();
        self.log_refuses = false;
    }

    /// The log could not take a captured transaction; commits are refused until it can.
    pub fn pending_refused(&mut self) {
        self.log_refuses = true;
    }

    /// The pages that the request begun last will change by committing to the WAL, those it cuts off included.
    pub fn staged_pages(&self) -> impl Iterator<Item = PageNumber> + '_ {
        let commit = match &self.staged {
            Staged::WalWrite(_, Some(commit)) => Some(commit),
            _ => None,
        };
        let cut = commit.map_or(0..0, |commit| commit.transaction.header.commit + 1..self.page_count() + 1);
        let changed = commit.into_iter().flat_map(|commit| commit.sums.iter().map(|(page, _)| *page));
        changed.chain(cut.filter_map(PageNumber::new))
    }

    /// Where the committed content of a page is.
    pub fn source(&self, page: PageNumber) -> PageSource {
        let frame = self.wal.as_ref().and_then(|wal| wal.frames().get(&page));
        frame.map_or(PageSource::Database, |frame| PageSource::Frame(*frame))
    }

    /// Decides what a request does.
    ///
    /// # Errors
    /// The error number for the program; nothing was changed.
    pub fn begin<V: View>(
        &mut self,
        request: &Request<'_>,
        view: &V,
        now: Now,
    ) -> Result<Vec<Effect>, Errno> {
        self.staged = Staged::Nothing;
        self.committed_elsewhere = false;
        if self.stopped.is_some() && !matches!(request, Request::Sync(_) | Request::Closed) {
            return Err(Errno::EIO);
        }
        match *request {
            Request::Create(file) => self.begin_create(file, now),
            Request::Write { file, offset, data } => self.begin_write(file, offset, data, view, now),
            Request::SetLen { file, len } => self.begin_set_len(file, len, view, now),
            Request::Remove(file) => self.begin_remove(file, view, now),
            Request::Sync(file) => self.begin_sync(file, view, now),
            Request::Closed => self.begin_unjournaled(view, now),
        }
    }

    /// All effects of the request are done: its changes hold.
    pub fn complete(&mut self) {
        match core::mem::replace(&mut self.staged, Staged::Nothing) {
            Staged::Nothing => {}
            Staged::WalWrite(advance, commit) => {
                if let Some(wal) = &mut self.wal {
                    wal.apply(advance);
                }
                if let Some(commit) = commit {
                    self.pending.push_back(commit.transaction.clone());
                    let outside_wal = self.outside_wal;
                    self.commit(*commit);
                    self.outside_wal = outside_wal;
                }
            }
            Staged::WalHeader(header, commit) => {
                if let Some(commit) = commit {
                    self.rollback.end();
                    self.commit(*commit);
                }
                self.backfilled = self.position;
                self.wal_sync_failed = false;
                self.wal = header.map(Generation::new);
                self.rejected = None;
            }
            Staged::WalGone => {
                self.backfilled = self.position;
                self.wal_sync_failed = false;
                self.wal = None;
                self.rejected = None;
            }
            Staged::JournalAfterWal => {
                self.wal_given_up();
                self.rejected = None;
                self.rollback.journal_active = true;
            }
            Staged::WalSynced(position) => {
                self.new_wal = false;
                if !self.wal_sync_failed {
                    self.wal_durable = position;
                }
            }
            Staged::JournalSynced => self.new_journal = false,
            Staged::JournalEnd(commit) => {
                self.rollback.end();
                if let Some(commit) = commit {
                    self.commit(*commit);
                }
            }
            Staged::JournalReplaced(commit) => {
                self.rollback.end();
                self.rollback.journal_active = true;
                if let Some(commit) = commit {
                    self.commit(*commit);
                }
            }
            Staged::Unjournaled(commit) => {
                self.rollback.end();
                if let Some(commit) = commit {
                    self.commit(*commit);
                }
            }
            Staged::Dropped(transaction) => {
                if let Some(transaction) = transaction {
                    self.position = transaction.position();
                    self.outside_wal = self.position;
                    self.timestamp_ms = transaction.header.timestamp_ms;
                }
                self.forget_content();
            }
        }
    }

    /// An effect of the request failed; those after it are not done.
    ///
    /// Returns the error number for the program. Where the log already has the transaction the program must not be
    /// told that it failed and then go on: the database stops instead, and recovery finishes it.
    pub fn fail(&mut self, effect: &Effect, errno: Errno) -> Errno {
        let staged = core::mem::replace(&mut self.staged, Staged::Nothing);
        if let Some(wal) = &mut self.wal {
            wal.forget_partial();
        }
        if let Staged::WalWrite(_, Some(_)) = staged {
            let (from, to) = self.last_wal_write;
            self.rejected = Some(Rejected { from, to, errno });
        }
        let logged = matches!(
            staged,
            Staged::JournalEnd(Some(_))
                | Staged::JournalReplaced(Some(_))
                | Staged::Unjournaled(Some(_))
                | Staged::WalHeader(_, Some(_))
                | Staged::Dropped(Some(_))
        );
        match effect {
            // Programs were told already that the transaction is committed.
            Effect::AppendPending | Effect::Append(_) if self.committed_elsewhere && logged => {
                self.stop(StopReason::Unfinished(errno));
            }
            Effect::AppendPending => self.log_refuses = true,
            Effect::Append(_) => {}
            Effect::SyncLog => self.stop(StopReason::LogSync(errno)),
            _ if logged && !self.planted().makes(Mistake::FailsAfterLog) => {
                self.stop(StopReason::Unfinished(errno));
            }
            _ => {}
        }
        errno
    }

    /// Takes a committed transaction into the machine's state.
    fn commit(&mut self, commit: Commit) {
        if commit.resized {
            self.sums = PageSums::default();
        }
        if !self.planted().makes(Mistake::KeepsSumsOfCutPages) {
            self.sums.resize(commit.transaction.header.commit);
        }
        for (page, sum) in &commit.sums {
            self.sums.set(*page, *sum);
        }
        self.page_size = Some(commit.page_size);
        self.journal_mode = commit.journal_mode;
        let in_file = self.wal.as_ref().is_none_or(|wal| wal.frames().is_empty());
        if in_file {
            self.backfilled = commit.transaction.position();
        }
        self.position = commit.transaction.position();
        self.outside_wal = self.position;
        self.timestamp_ms = commit.transaction.header.timestamp_ms;
    }

    /// The database has no pages any more; its position stays.
    fn forget_content(&mut self) {
        self.page_size = None;
        self.journal_mode = JournalMode::Rollback;
        self.sums = PageSums::default();
        self.wal = None;
        self.rejected = None;
        self.rollback.end();
    }

    /// Refuses with `errno` unless transactions may be committed now.
    fn require_authority(&self, now: Now, errno: Errno) -> Result<(), Errno> {
        let granted = match self.authority {
            Authority::ReadOnly => false,
            Authority::Until(deadline_ns) => now.monotonic_ns < deadline_ns,
            Authority::Forever => true,
        };
        if granted { Ok(()) } else { Err(errno) }
    }

    /// Restores the running state of a WAL that the daemon itself wrote as a replica.
    fn adopt_wal(&mut self, header: WalHeader, frames: &[(PageNumber, u64)], end: u64, chain: WalChecksum) {
        if self.wal.as_ref().is_none_or(|wal| wal.header().salt != header.salt) {
            self.wal = Some(Generation::new(header));
        }
        if let Some(wal) = &mut self.wal {
            wal.extend_committed(frames, end, chain);
        }
    }
}
