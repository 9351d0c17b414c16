use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use litefs_core::database::{Authority, JournalMode, Options, Request, StopReason};
use litefs_core::drive::{Driver, OpenError, Recovered};
use litefs_core::log::Stored;
use litefs_core::{DatabaseName, Errno, File, Position, Txid, View};

use super::clock::now;
use super::counts::{Counters, Counts};
use super::lock;
use super::log_writer::{Doorbell, Watcher};
use super::published::{Facts, Published};
use super::real_disk::RealDisk;
use super::wal_ahead::WalAhead;
use crate::DatabaseFiles;
use crate::apply::Applier;

/// Bytes above which a new segment of the log is begun.
pub(super) const SEGMENT_LEN_MAX: u64 = 64 << 20;

/// A part of a file that holds one LTX file.
#[derive(Clone, Debug)]
pub struct LtxRange {
    /// The segment. It stays readable while this is held, also after retention removed it.
    pub file: Arc<fs::File>,
    /// Where the LTX file begins, in bytes.
    pub offset: u64,
    /// Bytes of the LTX file.
    pub len: u64,
}

/// One database on the real disk, shared by the threads that serve the kernel, the log writer and the network.
#[derive(Debug)]
pub struct Database {
    name: Mutex<DatabaseName>,
    pub(super) disk: Arc<RealDisk>,
    driver: Mutex<Driver<Arc<RealDisk>>>,
    /// The log writer knows that there is work.
    rung: AtomicBool,
    /// The database file was written to by the daemon itself since the kernel was last told.
    overwritten: AtomicBool,
    /// A program asked for the length of the database file since the log writer last looked.
    pub(super) length_asked: AtomicBool,
    pub(super) wal_ahead: WalAhead,
    /// The node stops: nothing is waited for any more.
    pub(super) leaving: AtomicBool,
    /// Where files without names can be made.
    pub(super) scratch_dir: PathBuf,
    /// The whole database is read and compared after each transaction.
    strict_verify: bool,
    pub(super) counters: Counters,
    /// What the watcher was told last.
    announced: Mutex<Facts>,
    pub(super) published: Published,
    /// Present once the mount is: transactions from elsewhere are applied through it.
    pub(super) applier: Mutex<Option<Applier>>,
    doorbell: Arc<Doorbell>,
}

impl Database {
    /// Opens the database in `directory`, which exists, and recovers it.
    ///
    /// # Errors
    /// It cannot be used as it is; nothing was thrown away.
    pub fn open(
        name: DatabaseName,
        directory: &Path,
        local_dir: &Path,
        options: Options,
        doorbell: Arc<Doorbell>,
        strict_verify: bool,
    ) -> Result<(Arc<Self>, Recovered), OpenError> {
        let disk = Arc::new(RealDisk::new(directory.to_path_buf()));
        let super_journal_exists = |journal: &[u8]| {
            // The journal has the path as the program saw it; in the mount there is only the last part of it.
            let name = std::str::from_utf8(journal).ok().and_then(|path| Path::new(path).file_name());
            name.is_some_and(|name| local_dir.join(name).exists())
        };
        let (driver, recovered) =
            Driver::open(Arc::clone(&disk), options, SEGMENT_LEN_MAX, &super_journal_exists, now())?;
        let facts = Facts::of(driver.database(), driver.durable());
        let database = Self {
            name: Mutex::new(name),
            disk,
            driver: Mutex::new(driver),
            rung: AtomicBool::new(false),
            overwritten: AtomicBool::new(false),
            length_asked: AtomicBool::new(false),
            wal_ahead: WalAhead::default(),
            leaving: AtomicBool::new(false),
            scratch_dir: directory.to_path_buf(),
            strict_verify,
            counters: Counters::default(),
            announced: Mutex::new(facts),
            published: Published::new(facts),
            applier: Mutex::new(None),
            doorbell,
        };
        Ok((Arc::new(database), recovered))
    }

    /// Where a file of the database is or would be.
    pub fn path(&self, file: File) -> PathBuf {
        self.disk.path(file)
    }

    /// A file was removed past the database's own disk: the next to use it opens what is there then.
    pub(crate) fn forget_handle(&self, file: File) {
        self.disk.forget(file);
    }

    /// What happened to the database since it was opened.
    pub fn counts(&self) -> Counts {
        self.counters.all()
    }

    /// What is known of the database now.
    pub fn facts(&self) -> Facts {
        self.published.get()
    }

    /// Gives the database its way to apply transactions beside programs that have it open.
    pub fn set_applier(&self, applier: Option<Applier>) {
        *lock(&self.applier) = applier;
    }

    /// Says whether transactions may be committed here from now on.
    ///
    /// # Errors
    /// The log could not note where this node's own transactions begin; the authority is not granted.
    pub fn set_authority(&self, authority: Authority) -> Result<(), Errno> {
        if authority != Authority::ReadOnly {
            if let Some(applier) = lock(&self.applier).as_mut()
                && let Err(error) = applier.detach()
            {
                tracing::error!(name = %self.name(), "cannot take over the database: {error}");
                return Err(Errno::EIO);
            }
            self.driver().promote()?;
            self.repair()?;
        }
        self.driver().set_authority(authority);
        Ok(())
    }

    /// Lets transactions be committed here for longer, if they may be at all.
    pub fn extend_authority(&self, longer: Authority) {
        self.driver().database_mut().extend_authority(longer);
    }

    /// Commits the pages that a LiteFS primary left out, for this node is to send whole databases from now on.
    fn repair(&self) -> Result<(), Errno> {
        let mut driver = self.driver();
        if driver.database().is_read_only() && driver.repair(now())? {
            let position = driver.position();
            tracing::info!(name = %self.name(), %position, "pages that LiteFS had left out are in a transaction now");
            self.publish(&driver);
            drop(driver);
            self.ring();
        }
        Ok(())
    }

    /// The LTX file of exactly this transaction, if the log has it.
    ///
    /// # Errors
    /// What the disk answered.
    pub fn transaction(&self, txid: Txid) -> Result<Option<LtxRange>, Errno> {
        let driver = self.driver();
        let Some(stored) = driver.log().find(txid).copied() else { return Ok(None) };
        if stored.min_txid != txid || stored.post.txid != txid {
            return Ok(None);
        }
        let Stored { segment, offset, len, .. } = stored;
        let file = driver.disk().existing(File::Segment(segment))?;
        Ok(file.map(|file| LtxRange { file, offset, len }))
    }

    /// The oldest and the newest transaction in the log, and the bytes of all segments.
    pub fn log_range(&self) -> (Txid, Txid, u64) {
        let driver = self.driver();
        let first = driver.log().first().map_or(Txid::ZERO, |stored| stored.min_txid);
        (first, driver.log().end().txid, driver.log().size())
    }

    /// Leaves everything so that the next start has nothing to recover. Nobody may have the database open.
    pub fn close(&self) -> Result<(), Errno> {
        if let Some(mut applier) = lock(&self.applier).take()
            && let Err(error) = applier.detach()
        {
            tracing::warn!(name = %self.name(), "applied transactions are not durable yet: {error}");
            return Err(Errno::EIO);
        }
        self.driver().close()
    }

    /// The applier, unless it is at work.
    pub(super) fn idle_applier(&self) -> Option<MutexGuard<'_, Option<Applier>>> {
        match self.applier.try_lock() {
            Ok(applier) => Some(applier),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(super) fn driver(&self) -> MutexGuard<'_, Driver<Arc<RealDisk>>> {
        lock(&self.driver)
    }

    /// Compares what is on disk with what the position says, and stops the database where they differ.
    fn verify_whole(&self, driver: &mut Driver<Arc<RealDisk>>) {
        let position = driver.position();
        match driver.recompute_checksum() {
            Ok(found) if found == position.checksum => {}
            Ok(found) => {
                let reason = StopReason::Content { position, found };
                tracing::error!(name = %self.name(), "the database stops: {reason}");
                driver.database_mut().stop(reason);
            }
            Err(errno) => {
                tracing::error!(name = %self.name(), %errno, "cannot read the database to verify it")
            }
        }
    }

    /// Makes the driver's state known to those who do not lock it.
    pub(super) fn publish(&self, driver: &Driver<Arc<RealDisk>>) {
        self.published.replace(Facts::of(driver.database(), driver.durable()));
    }

    /// Tells the watcher what has changed since the last time.
    pub(super) fn announce(&self, watcher: &dyn Watcher) {
        let facts = self.published.get();
        let before = std::mem::replace(&mut *lock(&self.announced), facts);
        if before.position != facts.position {
            watcher.committed(&self.name(), facts);
        }
        if before.durable != facts.durable {
            watcher.durable(&self.name(), facts.durable);
        }
    }

    /// Has received transactions wait for nobody any more. One that cannot be applied stays in the log, from which the
    /// next start applies it.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Takes note that the log writer is about to look.
    pub(super) fn answer(&self) {
        self.rung.store(false, Ordering::Release);
    }

    /// Has the log writer look at this database soon.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.doorbell.ring(self.name());
        }
    }
}

impl DatabaseFiles for Database {
    fn name(&self) -> DatabaseName {
        lock(&self.name).clone()
    }

    fn request(&self, request: Request<'_>) -> Result<(), Errno> {
        self.counters.requested(&request);
        let mut driver = self.driver();
        let before = driver.position();
        let stopped_before = driver.database().stopped();
        let outcome = driver.request(request, now());
        if driver.take_overwritten() {
            self.overwritten.store(true, Ordering::Relaxed);
        }
        if let Some(reason) = driver.database().stopped().filter(|_| stopped_before.is_none()) {
            tracing::error!(name = %self.name(), "the database stops: {reason}");
        }
        if let Some(error) = driver.take_append_error() {
            tracing::error!(name = %self.name(), "a transaction was refused: {error}");
        }
        let changed = driver.position() != before;
        if changed {
            self.counters.committed();
            if self.strict_verify {
                self.verify_whole(&mut driver);
            }
        }
        let doubted = outcome.is_err() && matches!(request, Request::Write { file: File::Wal, .. });
        let published = changed || doubted || matches!(request, Request::Sync(_) | Request::Closed);
        if published {
            self.publish(&driver);
        }
        drop(driver);
        if outcome.is_ok() {
            self.wal_ahead.note(&request);
        }
        if published || self.wal_ahead.due().is_some() {
            self.ring();
        }
        outcome
    }

    fn extend_wal(&self, len: u64) -> Result<(), Errno> {
        self.driver().extend_wal(len)
    }

    fn read_at(&self, file: File, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        match self.disk.existing(file)? {
            Some(handle) => handle.read_at(buf, offset).map_err(|error| super::real_disk::errno(&error)),
            None => Err(Errno::ENOENT),
        }
    }

    fn len(&self, file: File) -> Result<Option<u64>, Errno> {
        self.disk.len(file)
    }

    fn backing(&self, file: File) -> Result<fs::File, Errno> {
        let path = self.disk.path(file);
        fs::File::options().read(true).write(true).open(path).map_err(|error| super::real_disk::errno(&error))
    }

    fn position(&self) -> Position {
        self.published.get().position
    }

    fn timestamp_ms(&self) -> i64 {
        self.published.get().timestamp_ms
    }

    fn page_count(&self) -> u32 {
        self.published.get().page_count
    }

    fn journal_mode(&self) -> JournalMode {
        self.published.get().journal_mode
    }

    fn set_unseen_writes(&self, unseen: bool) {
        self.driver().database_mut().set_unseen_writes(unseen);
    }

    fn take_overwritten(&self) -> bool {
        self.overwritten.swap(false, Ordering::Relaxed)
    }

    fn length_asked(&self) {
        if !self.length_asked.swap(true, Ordering::Relaxed) {
            self.ring();
        }
    }
}
