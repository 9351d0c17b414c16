use core::time::Duration;

use super::checked_pages::CheckedPages;
use super::checkpoint::Checkpoint;
use super::context::Context;
use super::database_lock::DatabaseLock;
use super::deadline::Deadline;
use super::wal_writer::WalWriter;
use super::{ApplyError, BackingFile, Change, FileIdentity, Lock, System, Trouble, direct};
use crate::database::{Applied, JournalMode};
use crate::sqlite::header::DatabaseHeader;
use crate::{Errno, File as Kind, PageNumber, ReadAt};

/// Changes one database from outside of SQLite, beside whatever programs have it open.
///
/// Three ways, the first that can be had: into the database file while nobody has it open; into the WAL beside
/// readers; into the database file after readers in rollback mode have finished. The WAL is also the way for a
/// database whose header says rollback mode as long as connections that have the WAL open are left, and for a snapshot
/// that connections might take for something they have cached. SQLite uses a WAL that is there whatever the header
/// says, so all connections agree.
#[derive(Debug)]
pub struct Applier<S: System> {
    pub(super) context: Context<S>,
    /// Holds locks in the wal-index, under SHARED or more on the database file: so it is dropped before that.
    pub(super) wal: Option<WalWriter<S>>,
    /// The database file, while it is in use here.
    open: Option<OpenDatabase<S>>,
    /// The highest change counter that a connection in rollback mode may have cached pages under.
    cached_counter: Option<u32>,
    /// The change counter that the last transaction with a first page left.
    change_counter: Option<u32>,
    /// The change counter does not tell the database from what connections may have cached: only the WAL's index does.
    ambiguous: bool,
    /// The database file was left half written under EXCLUSIVE, which is kept until it is whole again.
    pub(super) torn: bool,
    /// Locks are kept between transactions.
    pub(super) held: bool,
    /// Something was written that was not synced.
    unsynced: bool,
}

#[derive(Debug)]
struct OpenDatabase<S: System> {
    lock: DatabaseLock<S::Locks>,
    /// The backing file.
    file: S::File,
    identity: FileIdentity,
    journal_mode: JournalMode,
}

/// Where a transaction goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Route {
    Database,
    Wal,
}

/// Programs that have a database open do not keep it from being deleted for longer than this.
const DELETE_WAIT_MAX: Duration = Duration::from_secs(1);

impl<S: System> Applier<S> {
    /// For the database that `system` is about, which need not exist yet. Nothing is opened before it is needed.
    pub fn new(system: S) -> Self {
        Self {
            context: Context::new(system),
            open: None,
            wal: None,
            cached_counter: None,
            change_counter: None,
            ambiguous: false,
            torn: false,
            held: false,
            unsynced: false,
        }
    }

    /// The system it works on.
    pub fn system(&self) -> &S {
        &self.context.system
    }

    /// Applies a transaction, waiting up to `wait` for locks that programs hold.
    ///
    /// Nothing is synced: the transaction is in a log that is durable. Call [`Applier::sync`] before the log forgets it.
    ///
    /// # Errors
    /// Readers go on seeing the state before. Where the database file was half written, it stays locked until a later
    /// call succeeds.
    pub fn apply(&mut self, change: Change<'_>, wait: Duration) -> Result<Applied, ApplyError> {
        let deadline = Deadline::after(&self.context, wait);
        if change.commit == 0 {
            self.delete(Deadline::after(&self.context, wait.min(DELETE_WAIT_MAX)))?;
            return Ok(Applied::Direct);
        }
        let mut pages = CheckedPages::new(change.pages, change.page_size, change.commit);
        self.open()?;
        let counter = match pages.peek()? {
            Some((PageNumber::FIRST, content)) => {
                DatabaseHeader::decode(content).ok().map(|header| header.change_counter)
            }
            _ => None,
        };
        let applied = match self.route(counter, deadline) {
            Ok(Route::Database) => self.apply_to_database(&mut pages, change.snapshot),
            Ok(Route::Wal) => self.apply_to_wal(&mut pages, change.snapshot, deadline),
            Err(error) => Err(error),
        };
        let settled = self.settle();
        let applied = applied?;
        settled?;
        self.unsynced = true;
        self.change_counter = counter.or(self.change_counter);
        self.note_journal_mode(change.journal_mode)?;
        Ok(applied)
    }

    /// Copies what readers allow from the WAL to the database file, and gives up the WAL when nobody else uses it.
    ///
    /// # Errors
    /// What the disk answered. The database stays as it was.
    pub fn checkpoint(&mut self) -> Result<Checkpoint, ApplyError> {
        let (Some(open), Some(wal)) = (&self.open, &self.wal) else { return Ok(Checkpoint::default()) };
        let progress = wal.checkpoint(&self.context, &open.file)?;
        if self.leave_wal()? {
            self.settle()?;
        }
        Ok(progress)
    }

    /// Makes everything durable that was applied.
    ///
    /// # Errors
    /// What the disk answered; nothing is known then of what was applied since the last call.
    pub fn sync(&mut self) -> Result<(), ApplyError> {
        let Some(open) = self.open.as_ref().filter(|_| self.unsynced) else { return Ok(()) };
        if let Some(wal) = &self.wal {
            wal.sync()?;
        }
        open.file.sync_data().map_err(ApplyError::io("sync", Kind::Database))?;
        self.unsynced = false;
        Ok(())
    }

    /// Lets go of everything: before programs may write here, and before unmounting. A WAL that is left is one that
    /// SQLite goes on writing.
    ///
    /// # Errors
    /// What the disk answered to the sync before it.
    pub fn detach(&mut self) -> Result<(), ApplyError> {
        let synced = self.sync();
        if self.torn {
            self.context.report(Trouble::HalfWritten);
        }
        // Programs that write from now on change it.
        self.change_counter = None;
        self.close();
        synced
    }

    /// Decides where a transaction goes and takes the locks it needs there. `counter` is the change counter after it,
    /// if it is known.
    fn route(&mut self, counter: Option<u32>, deadline: Deadline) -> Result<Route, ApplyError> {
        if self.torn {
            return Ok(Route::Database);
        }
        if self.wal.is_some() {
            if !self.leave_wal()? {
                self.compare_counters(counter)?;
                return Ok(Route::Wal);
            }
        } else {
            self.share(deadline)?;
            if !self.lock()?.try_exclusive().map_err(lock_error())? && self.wal_in_use()? {
                self.attach(deadline)?;
                self.compare_counters(counter)?;
                return Ok(Route::Wal);
            }
            self.exclude(deadline)?;
        }
        self.route_alone(counter, deadline)
    }

    /// As `route`, once EXCLUSIVE is held.
    fn route_alone(&mut self, counter: Option<u32>, deadline: Deadline) -> Result<Route, ApplyError> {
        self.check_journal()?;
        if self.context.backing_len(Kind::Wal)? > 0 {
            self.attach(deadline)?;
            if self.ambiguous || !self.fold()? {
                self.compare_counters(counter)?;
                return Ok(Route::Wal);
            }
        }
        self.compare_counters(counter)?;
        if self.ambiguous {
            self.attach(deadline)?;
            return Ok(Route::Wal);
        }
        Ok(Route::Database)
    }

    /// Finds out whether a transaction that leaves this change counter, or the one there is, can be told from what
    /// connections in rollback mode may have cached. A snapshot can be older than that, and a transaction leaves the
    /// counter as it is if its writer used the WAL or has locked the database for itself.
    fn compare_counters(&mut self, counter: Option<u32>) -> Result<(), ApplyError> {
        let current = self.current_header()?;
        if let Some(current) = current.as_ref().filter(|current| !current.is_wal()) {
            self.cached_counter = self.cached_counter.max(Some(current.change_counter));
        }
        let in_file = current.map(|current| current.change_counter);
        let after = counter.or(self.change_counter).or(in_file);
        self.ambiguous = in_file.is_some() && self.cached_counter.is_some() && after <= self.cached_counter;
        Ok(())
    }

    fn apply_to_database(
        &mut self,
        pages: &mut CheckedPages<'_>,
        snapshot: bool,
    ) -> Result<Applied, ApplyError> {
        let resized = self.current_header()?.is_some_and(|header| header.page_size != pages.page_size());
        let Some(open) = &self.open else { return Err(not_open()) };
        direct::set_space_aside(&open.file, pages)?;
        self.context.sync_log()?;
        self.torn = true;
        direct::write_transaction(&self.context, &open.file, pages, snapshot || resized)?;
        self.torn = false;
        Ok(Applied::Direct)
    }

    fn apply_to_wal(
        &mut self,
        pages: &mut CheckedPages<'_>,
        snapshot: bool,
        deadline: Deadline,
    ) -> Result<Applied, ApplyError> {
        let in_file = self.current_header()?.map(|header| header.page_size);
        let (Some(open), Some(wal)) = (&self.open, &mut self.wal) else { return Err(not_open()) };
        let page_size = wal.page_size().or(in_file);
        let resized = page_size.is_some_and(|size| size != pages.page_size());
        if resized && !wal.empty(&self.context, &open.file, deadline)? {
            return Err(ApplyError::Busy(Lock::Readers));
        }
        wal.make_room(&self.context, &open.file)?;
        wal.append(&self.context, &open.file, pages, snapshot || resized)
    }

    /// Deletes the database and its files. Programs that still have them open after the deadline keep what they have.
    fn delete(&mut self, deadline: Deadline) -> Result<(), ApplyError> {
        self.context.sync_log()?;
        if self.context.database_identity()?.is_some() && self.wal.is_none() {
            self.open()?;
            match self.share(deadline).and_then(|()| self.exclude(deadline)) {
                Ok(()) | Err(ApplyError::Busy(_)) => {}
                Err(error) => return Err(error),
            }
        }
        // Without the database file nobody looks at the others.
        for kind in [Kind::Database, Kind::Journal, Kind::Wal, Kind::Shm] {
            self.context.remove(kind)?;
        }
        self.close();
        self.cached_counter = None;
        self.change_counter = None;
        self.ambiguous = false;
        self.torn = false;
        Ok(())
    }

    /// Opens the database file, anew if another one has taken its name.
    pub(super) fn open(&mut self) -> Result<(), ApplyError> {
        let identity = match self.context.database_identity()? {
            // The first transaction of a database that nobody here has seen yet, or that was dropped.
            None => self.context.create_database()?,
            found => found,
        };
        if self.open.as_ref().is_some_and(|open| Some(open.identity) != identity) {
            self.close();
        }
        if self.open.is_some() {
            return Ok(());
        }
        let file = self.context.open_backing(Kind::Database)?;
        let lock = DatabaseLock::new(self.context.open_in_mount(Kind::Database)?);
        let Some(identity) = identity else { return Err(not_open()) };
        let journal_mode =
            read_header(&file)?.map_or(JournalMode::Rollback, |header| JournalMode::of(&header));
        self.open = Some(OpenDatabase { lock, file, identity, journal_mode });
        Ok(())
    }

    pub(super) fn close(&mut self) {
        // The wal-index goes first: SHARED on the database file protects it.
        self.wal = None;
        self.open = None;
        self.held = false;
    }

    /// Gives up what is not needed between transactions: EXCLUSIVE, and SHARED unless the WAL is in use here.
    pub(super) fn settle(&mut self) -> Result<(), ApplyError> {
        if self.held || self.torn {
            return Ok(());
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        match self.wal {
            Some(_) => open.lock.downgrade(),
            None => open.lock.unlock(),
        }
        .map_err(lock_error())
    }

    /// How a file of the mount is opened depends on the journal mode, and sticks until its last close: our handle must
    /// not keep programs from the better way.
    fn note_journal_mode(&mut self, journal_mode: JournalMode) -> Result<(), ApplyError> {
        let changed = self.open.as_ref().is_some_and(|open| open.journal_mode != journal_mode);
        if changed && self.wal.is_none() && !self.held {
            self.sync()?;
            self.open = None;
        }
        Ok(())
    }

    /// Becomes the writer of the WAL, unless that is so already.
    pub(super) fn attach(&mut self, deadline: Deadline) -> Result<(), ApplyError> {
        if self.wal.is_none() {
            self.check_journal()?;
            let identity = self.open.as_ref().ok_or_else(not_open)?.identity;
            self.wal = Some(WalWriter::attach(&self.context, identity, deadline)?);
        }
        Ok(())
    }

    /// Gives up the WAL if all of it is in the database file and nobody else uses it, and then holds EXCLUSIVE.
    fn leave_wal(&mut self) -> Result<bool, ApplyError> {
        let Some(wal) = &self.wal else { return Ok(false) };
        let complete = wal.progress()?.is_complete();
        if self.held || self.ambiguous || !complete || !self.lock()?.try_exclusive().map_err(lock_error())? {
            return Ok(false);
        }
        let left = self.retire()?;
        if !left {
            self.lock()?.downgrade().map_err(lock_error())?;
        }
        Ok(left)
    }

    /// Moves a WAL that nobody uses to the database file; false when somebody does, and it is to be used further.
    fn fold(&mut self) -> Result<bool, ApplyError> {
        let (Some(open), Some(wal)) = (&self.open, &self.wal) else { return Err(not_open()) };
        if wal.checkpoint(&self.context, &open.file)?.is_complete() { self.retire() } else { Ok(false) }
    }

    fn retire(&mut self) -> Result<bool, ApplyError> {
        if let Some(wal) = self.wal.take() {
            self.wal = wal.retire(&self.context)?;
        }
        Ok(self.wal.is_none())
    }

    pub(super) fn share(&mut self, deadline: Deadline) -> Result<(), ApplyError> {
        let Some(open) = &mut self.open else { return Err(not_open()) };
        let shared = open.lock.shared(&self.context, deadline).map_err(lock_error())?;
        if shared { Ok(()) } else { Err(ApplyError::Busy(Lock::Shared)) }
    }

    pub(super) fn exclude(&mut self, deadline: Deadline) -> Result<(), ApplyError> {
        let Some(open) = &mut self.open else { return Err(not_open()) };
        let excluded = open.lock.exclusive(&self.context, deadline).map_err(lock_error())?;
        if excluded { Ok(()) } else { Err(ApplyError::Busy(Lock::Exclusive)) }
    }

    fn lock(&mut self) -> Result<&mut DatabaseLock<S::Locks>, ApplyError> {
        self.open.as_mut().map(|open| &mut open.lock).ok_or_else(not_open)
    }

    /// Whether connections that come now, or are there, read from the WAL.
    pub(super) fn wal_in_use(&self) -> Result<bool, ApplyError> {
        // SQLite removes the WAL of an empty database.
        let Some(header) = self.current_header()? else { return Ok(false) };
        Ok(header.is_wal() || self.context.backing_len(Kind::Wal)? > 0)
    }

    /// A journal with content that nobody is writing belongs to a transaction that was interrupted. Whoever opens the
    /// database next rolls it back, over anything that is written before.
    pub(super) fn check_journal(&mut self) -> Result<(), ApplyError> {
        if self.context.backing_len(Kind::Journal)? == 0 || self.lock()?.is_reserved().map_err(lock_error())?
        {
            return Ok(());
        }
        let journal = self.context.open_backing(Kind::Journal)?;
        let mut first = [0];
        let found = journal.read_at(0, &mut first).map_err(ApplyError::io("read", Kind::Journal))?;
        // A journal that was ended without removing it begins with zeros.
        if found > 0 && first[0] != 0 { Err(ApplyError::HotJournal) } else { Ok(()) }
    }

    /// The header in the database file, `None` in an empty one.
    fn current_header(&self) -> Result<Option<DatabaseHeader>, ApplyError> {
        self.open.as_ref().map_or(Ok(None), |open| read_header(&open.file))
    }
}

impl<S: System> Drop for Applier<S> {
    fn drop(&mut self) {
        if let Err(error) = self.detach() {
            self.context.report(Trouble::NotSynced(&error));
        }
    }
}

/// The header in a database file, `None` in an empty one.
pub(super) fn read_header(file: &impl ReadAt) -> Result<Option<DatabaseHeader>, ApplyError> {
    let mut bytes = [0; DatabaseHeader::LEN];
    let found = file.read_at(0, &mut bytes).map_err(ApplyError::io("read", Kind::Database))?;
    if found < bytes.len() { Ok(None) } else { Ok(DatabaseHeader::decode(&bytes).ok()) }
}

fn lock_error() -> impl FnOnce(Errno) -> ApplyError {
    ApplyError::io("lock", Kind::Database)
}

fn not_open() -> ApplyError {
    ApplyError::Io { action: "use", file: Kind::Database, errno: Errno::ENOENT }
}
