use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use litefs_core::database::{Admission, Authority, JournalMode, Options, Request, StopReason};
use litefs_core::drive::{Driver, OpenError, Recovered};
use litefs_core::log::{Retention, Stored};
use litefs_core::sqlite::{wal, wal_index};
use litefs_core::{DatabaseName, Disk, Errno, File, NodeId, PageSize, Position, ReadAt, Txid, View};

use super::clock::now;
use super::counts::{Counters, Counts};
use super::log_writer::{Doorbell, Watcher};
use super::ltx_file::{LtxFile, LtxPages};
use super::published::{Facts, Published};
use super::real_disk::{RealDisk, os_error};
use super::scratch::scratch_file;
use super::snapshot::{ExportReader, Image, KeptPages, SnapshotReader};
use crate::DatabaseFiles;
use crate::apply::{Applier, ApplyError, Change};

/// Bytes above which a new segment of the log is begun.
pub(super) const SEGMENT_LEN_MAX: u64 = 64 << 20;

/// How long a snapshot waits for a transaction in rollback mode to end.
const IMAGE_WAIT: Duration = Duration::from_secs(5);

/// How long publishing for a writer that died waits for one that lives.
const IN_DOUBT_WAIT: Duration = Duration::from_millis(250);

/// How long a received transaction waits for programs that are in the way, before it is tried again.
const APPLY_WAIT: Duration = Duration::from_secs(5);

/// How long to wait before a full disk is tried again.
const SPACE_WAIT: Duration = Duration::from_secs(1);

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

/// Why a received transaction could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It does not fit the database, or the log could not take it.
    #[error(transparent)]
    Refused(#[from] litefs_core::database::ApplyError),
    /// It is in the log, and its pages could not be written; they are at the next try or start.
    #[error("cannot apply the transaction: {0}")]
    Apply(#[from] ApplyError),
    /// The LTX file could not be read.
    #[error("cannot read the transaction: {0}")]
    Read(#[from] io::Error),
}

/// One database on the real disk, shared by the threads that serve the kernel, the log writer and the network.
#[derive(Debug)]
pub struct Database {
    name: Mutex<DatabaseName>,
    disk: Arc<RealDisk>,
    driver: Mutex<Driver<Arc<RealDisk>>>,
    /// The log writer knows that there is work.
    rung: AtomicBool,
    /// Where files without names can be made.
    scratch_dir: PathBuf,
    /// The whole database is read and compared after each transaction.
    strict_verify: bool,
    counters: Counters,
    /// What the watcher was told last.
    announced: Mutex<Facts>,
    published: Published,
    /// Present once the mount is: transactions from elsewhere are applied through it.
    applier: Mutex<Option<Applier>>,
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

    /// The database as it is now, as an LTX file that can be read while the database goes on.
    ///
    /// # Errors
    /// A program is in a long transaction in rollback mode, or the disk failed.
    pub fn snapshot(&self, compressed: bool, node_id: NodeId) -> io::Result<SnapshotReader> {
        SnapshotReader::new(self.image()?, compressed, node_id, now().wall_ms)
    }

    /// The database as it is now, as a database file that can be read while the database goes on.
    ///
    /// # Errors
    /// A program is in a long transaction in rollback mode, or the disk failed.
    pub fn export(&self) -> io::Result<ExportReader> {
        Ok(ExportReader::new(self.image()?))
    }

    /// Writes the database as it is now to a file of its own below `directory`, named by its position, because it is
    /// about to be replaced and has transactions that nobody else has.
    ///
    /// # Errors
    /// The copy could not be made, and is not there.
    pub fn keep_aside(&self, directory: &Path) -> io::Result<PathBuf> {
        let aside = directory.join("aside");
        fs::create_dir_all(&aside)?;
        let mut content = self.export()?;
        let position = content.position();
        let name = format!("{}@{}-{}", self.name(), position.txid, position.checksum);
        let unfinished = aside.join(format!("{name}.tmp"));
        let path = aside.join(name);
        let mut file = fs::File::create(&unfinished)?;
        io::copy(&mut content, &mut file)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        fs::File::open(&aside)?.sync_all()?;
        Ok(path)
    }

    fn image(&self) -> io::Result<Image> {
        let deadline = Instant::now() + IMAGE_WAIT;
        let mut driver = self.driver();
        // Pages of an open transaction in rollback mode are in the database file already.
        while driver.database().is_dirty() {
            drop(driver);
            if Instant::now() > deadline {
                return Err(io::Error::other(
                    "a program is in a transaction on the database; try again later",
                ));
            }
            std::thread::sleep(Duration::from_millis(2));
            driver = self.driver();
        }
        let database = driver.database();
        let page_size = database.page_size().unwrap_or(PageSize::MIN);
        let scratch = scratch_file(&self.scratch_dir)?;
        let file = self.disk.existing(File::Database).map_err(os_error)?;
        let stand_in = scratch.try_clone()?;
        let kept = Arc::new(KeptPages::new(scratch, database.page_count(), page_size));
        let image = Image {
            position: driver.position(),
            page_size,
            sums: database.sums().clone(),
            frames: database.wal_frames().collect(),
            // A dropped database has no pages, so nothing is read from what stands in for it.
            database: file.unwrap_or_else(|| Arc::new(stand_in)),
            wal: self.disk.existing(File::Wal).map_err(os_error)?,
            kept: Arc::clone(&kept),
        };
        driver.add_preserver(kept);
        Ok(image)
    }

    /// Keeps programs from writing until [`Self::release`].
    ///
    /// # Errors
    /// They did not let go in time, or there is no mount yet.
    pub(super) fn hold(&self, wait: Duration) -> Result<(), ApplyError> {
        match lock(&self.applier).as_mut() {
            Some(applier) => applier.hold(wait),
            None => Ok(()),
        }
    }

    /// Ends [`Self::hold`].
    ///
    /// # Errors
    /// What the kernel answered.
    pub(super) fn release(&self) -> Result<(), ApplyError> {
        match lock(&self.applier).as_mut() {
            Some(applier) => applier.release(),
            None => Ok(()),
        }
    }

    /// Takes a verified LTX file of `len` bytes from elsewhere and applies it.
    ///
    /// # Errors
    /// See [`ReceiveError`]. Readers see the state before.
    pub fn receive(&self, file: &dyn ReadAt, len: u64) -> Result<Position, ReceiveError> {
        let ltx = LtxFile::read(file, len)?;
        let mut applier = lock(&self.applier);
        {
            let mut driver = self.driver();
            if driver.receive(&ltx.received, file, len)? == Admission::Old {
                return Ok(driver.position());
            }
        }
        let applier = applier.as_mut().ok_or(io::Error::other("the mount is not ready"))?;
        let started = Instant::now();
        let applied = loop {
            let mut pages = LtxPages::new(file, len);
            let change = Change {
                page_size: ltx.received.header.page_size,
                commit: ltx.received.header.commit,
                pages: &mut pages,
                journal_mode: ltx.received.journal_mode.unwrap_or(self.published.get().journal_mode),
                snapshot: ltx.received.header.is_snapshot(),
            };
            match applier.apply(change, APPLY_WAIT) {
                Ok(applied) => break applied,
                // It is in the log: there is no way back, only waiting for whoever is in the way, or for space.
                Err(ApplyError::Busy(lock)) => {
                    let name = self.name();
                    tracing::warn!(%name, %lock, waited = ?started.elapsed(), "a received transaction waits for a program");
                }
                Err(error) if error.is_for_want_of_space() => {
                    let name = self.name();
                    tracing::error!(%name, waited = ?started.elapsed(), "a received transaction waits for space: {error}");
                    std::thread::sleep(SPACE_WAIT);
                }
                Err(error) => {
                    self.driver().database_mut().stop(StopReason::Unapplied(Errno::EIO));
                    return Err(error.into());
                }
            }
        };
        let mut driver = self.driver();
        driver.applied(&ltx.received, applied).map_err(litefs_core::database::ApplyError::from)?;
        self.counters.received(now().wall_ms - ltx.received.header.timestamp_ms);
        self.publish(&driver);
        self.ring();
        Ok(driver.position())
    }

    /// Appends what is captured to the log; returns whether there is something to sync.
    pub(super) fn append_pending(&self) -> bool {
        let mut driver = self.driver();
        let appended = driver.append_pending();
        if let (Err(errno), Some(error)) = (appended, driver.take_append_error()) {
            let name = self.name();
            tracing::error!(%name, %errno, "commits are refused until the transaction log can be written: {error}");
        }
        self.publish(&driver);
        driver.log_sync_plan().is_some()
    }

    /// Makes the log durable. The sync itself happens while the database goes on.
    pub(super) fn sync_log(&self) {
        let (plan, segment) = {
            let driver = self.driver();
            let Some(plan) = driver.log_sync_plan() else { return };
            (plan, driver.disk().existing(File::Segment(plan.segment)))
        };
        let synced = segment.and_then(|segment| match segment {
            Some(segment) => segment.sync_data().map_err(|error| super::real_disk::errno(&error)),
            None => Err(Errno::ENOENT),
        });
        let mut driver = self.driver();
        let synced = match synced {
            Ok(()) if plan.directory => driver.disk().sync_directory(),
            other => other,
        };
        match synced {
            Ok(()) => driver.log_synced(plan),
            Err(errno) => {
                tracing::error!(name = %self.name(), "the database stops: {}", StopReason::LogSync(errno));
                driver.log_sync_failed(errno);
            }
        }
        self.publish(&driver);
    }

    /// Publishes transactions in the wal-index whose writer died after the commit and before it could do so itself.
    /// Until then the next writer would write over them. With `look`, also where no writer has tried to yet.
    pub(super) fn publish_in_doubt(&self, look: bool) {
        let doubted = self.driver().database_mut().take_in_doubt();
        if !doubted && !look {
            return;
        }
        let Some((salt, end)) = self.driver().database().wal_end() else { return };
        if !doubted && !self.is_unpublished(salt, end) {
            return;
        }
        let mut applier = lock(&self.applier);
        let Some(applier) = applier.as_mut() else { return };
        match applier.publish_in_doubt(salt, end, IN_DOUBT_WAIT) {
            Ok(true) => {
                tracing::info!(name = %self.name(), "published the transactions of a writer that died")
            }
            Ok(false) => {}
            // Somebody writes at the moment, so somebody is alive to publish; the next round looks again.
            Err(ApplyError::Busy(_)) => {}
            Err(error) => {
                tracing::error!(name = %self.name(), "cannot publish committed transactions: {error}")
            }
        }
    }

    /// Whether the wal-index ends before the committed frames of this WAL do.
    fn is_unpublished(&self, salt: [u32; 2], end: u64) -> bool {
        let mut head = [0; wal_index::HEADER_LEN];
        let read = self.disk.read_at(File::Shm, 0, &mut head);
        let (Ok(wal_index::HEADER_LEN), Some(header)) = (read, wal_index::Header::decode(&head)) else {
            return false;
        };
        let Some(page_size) = header.page_size else { return false };
        let frame_len = wal::FRAME_HEADER_LEN as u64 + u64::from(page_size.get());
        header.salt == salt && wal::HEADER_LEN as u64 + u64::from(header.max_frame) * frame_len < end
    }

    /// Saves the point that recovery starts from and lets go of old transactions.
    pub(super) fn keep_house(&self, retention: Retention) {
        // A transaction that waits for a program, or for space, can wait long: nobody waits for it here.
        let Some(mut applier) = self.idle_applier() else { return };
        if let Some(applier) = applier.as_mut() {
            if let Err(error) = applier.checkpoint().and_then(|_| applier.sync()) {
                tracing::warn!(name = %self.name(), "cannot checkpoint: {error}");
            }
        }
        let mut driver = self.driver();
        if let Err(errno) = driver.save() {
            tracing::warn!(name = %self.name(), %errno, "cannot save the page checksums; the next start takes longer");
        }
        match driver.expire(retention, now().wall_ms) {
            Ok(0) => {}
            Ok(segments) => {
                self.counters.removed(segments);
                tracing::debug!(name = %self.name(), segments, "old transactions removed");
            }
            Err(errno) => tracing::warn!(name = %self.name(), %errno, "cannot remove old transactions"),
        }
    }

    /// Leaves everything so that the next start has nothing to recover. Nobody may have the database open.
    pub fn close(&self) -> Result<(), Errno> {
        if let Some(mut applier) = lock(&self.applier).take() {
            if let Err(error) = applier.detach() {
                tracing::warn!(name = %self.name(), "applied transactions are not durable yet: {error}");
                return Err(Errno::EIO);
            }
        }
        self.driver().close()
    }

    /// The applier, unless it is at work.
    fn idle_applier(&self) -> Option<MutexGuard<'_, Option<Applier>>> {
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
    fn publish(&self, driver: &Driver<Arc<RealDisk>>) {
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

    /// Takes note that the log writer is about to look.
    pub(super) fn answer(&self) {
        self.rung.store(false, Ordering::Release);
    }

    /// Has the log writer look at this database soon.
    fn ring(&self) {
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
        if changed || doubted || matches!(request, Request::Sync(_) | Request::Closed) {
            self.publish(&driver);
            drop(driver);
            self.ring();
        }
        outcome
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
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
