use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};
use std::time::Duration;

use litefs_core::{Errno, Now, Position, SavedSums};

use crate::coroutine;
use crate::database::Database;
use crate::faults::{Faults, Kind, Verdict};
use crate::machine_disk::{MachineDisk, Path};
use crate::plan::{Crash, FileSystem, Often, Plan};
use crate::record::Record;
use crate::replay::{self, Segment};
use crate::rng::Rng;
use crate::rt;
use crate::shm::{Shm, ShmContent};
use crate::step::Step;
use crate::topic::{Standing, Topic};
use crate::trace::fingerprint;
use crate::unsynced_file::SECTOR;

/// The wall clock at the start of a run, in milliseconds since the Unix epoch.
const EPOCH_MS: i64 = 1_800_000_000_000;

/// How long who is frozen waits at a time.
const FREEZE_STEP: Duration = Duration::from_millis(50);

/// What is added to the number of a process that is started again.
const RESTARTED: u64 = 1000;

/// A simulated machine: a disk that fails, and the processes on it.
#[derive(Debug)]
pub(crate) struct Node {
    /// What is told about the run.
    pub(crate) record: Record,
    disk: RefCell<MachineDisk>,
    faults: RefCell<Faults>,
    rng: RefCell<Rng>,
    pause_percent: Cell<u64>,
    split_writes: Cell<bool>,
    powersafe: Cell<bool>,
    readable_wal_index: Cell<bool>,
    /// The segments that the daemon has removed from each database's log.
    archive: RefCell<BTreeMap<Rc<str>, Vec<Segment>>>,
    generation: Cell<u64>,
    dead_processes: RefCell<BTreeSet<u64>>,
    /// Of a hundred commits to the WAL, how many are the last thing their process does.
    death_percent: Cell<u64>,
    /// The same of a hundred ends of a super-journal.
    super_death_percent: Cell<u64>,
    /// Processes that died in a commit and still hold their locks.
    doomed: RefCell<BTreeSet<u64>>,
    /// Something failed after a commit, which SQLite takes for a failed commit.
    commit_seems_failed: Cell<bool>,
    databases: RefCell<BTreeMap<Rc<str>, Rc<Database>>>,
    /// Shared memory as it was when a process died whose statement runs on to its end. It is not in use because of that.
    kept_shm: RefCell<Vec<(Weak<Shm>, ShmContent)>>,
    clock: Cell<Clock>,
    /// Nothing on the machine goes on before this, in virtual nanoseconds.
    frozen_until_ns: Cell<u64>,
    observer: RefCell<Option<Rc<dyn Observer>>>,
    lost_power: Cell<bool>,
}

/// Somebody who is told of every transaction that programs commit.
pub(crate) trait Observer: std::fmt::Debug {
    /// The daemon of a machine is about to decide what an operation on a database does.
    fn begins(&self, machine: u8, database: &str);

    /// A transaction took a database from one position to the next.
    fn committed(&self, machine: u8, database: &str, before: Position, after: Position);

    /// A snapshot is about to take a database from one position to another.
    fn replaces(&self, machine: u8, database: &str, local: Position, next: Position);

    /// The disk of a machine lost what was not synced, or everything.
    fn forgot(&self, machine: u8, everything: bool);
}

/// How the clocks of a machine differ from virtual time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    /// How many nanoseconds the monotonic clock gains in a millisecond; negative if it loses.
    pub(crate) drift_ns: i64,
    /// How far the wall clock is ahead, in milliseconds.
    pub(crate) ahead_ms: i64,
}

/// A process, and the life of the node it belongs to. Whatever it does after its end fails and touches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    generation: u64,
    /// 0 is the daemon.
    number: u64,
}

/// A change of the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DiskChange<'a> {
    Write { offset: u64, data: &'a [u8] },
    SetLen(u64),
    Sync,
    Remove,
    Rename(&'a Path),
    SyncDirectory,
}

impl Node {
    /// A machine with an empty disk.
    pub(crate) fn new(record: Record, file_system: FileSystem, rng: Rng) -> Self {
        Self::with_disk(record, MachineDisk::new(file_system), rng)
    }

    /// A machine with this disk, that nothing runs on yet.
    pub(crate) fn with_disk(record: Record, disk: MachineDisk, rng: Rng) -> Self {
        Self {
            record,
            disk: RefCell::new(disk),
            faults: RefCell::default(),
            rng: RefCell::new(rng),
            pause_percent: Cell::new(0),
            split_writes: Cell::new(false),
            powersafe: Cell::new(true),
            readable_wal_index: Cell::new(false),
            archive: RefCell::default(),
            generation: Cell::new(1),
            dead_processes: RefCell::default(),
            death_percent: Cell::new(0),
            super_death_percent: Cell::new(0),
            doomed: RefCell::default(),
            commit_seems_failed: Cell::new(false),
            databases: RefCell::default(),
            kept_shm: RefCell::default(),
            clock: Cell::default(),
            frozen_until_ns: Cell::default(),
            observer: RefCell::default(),
            lost_power: Cell::default(),
        }
    }

    /// The disk as it is now.
    pub(crate) fn disk(&self) -> std::cell::Ref<'_, MachineDisk> {
        self.disk.borrow()
    }

    /// Opens a file past everything that fails.
    pub(crate) fn open_file(&self, path: &Path) -> Option<u64> {
        self.disk.borrow_mut().open(path)
    }

    /// Closes a file that was opened.
    pub(crate) fn close_file(&self, inode: u64) {
        self.disk.borrow_mut().close(inode);
    }

    /// What the node's clocks say.
    pub(crate) fn now(&self) -> Now {
        let elapsed_ns = i128::from(rt::elapsed_ns());
        let Clock { drift_ns, ahead_ms } = self.clock.get();
        let monotonic_ns =
            u64::try_from(elapsed_ns + elapsed_ns / 1_000_000 * i128::from(drift_ns)).unwrap_or(0);
        let since_start_ms = i64::try_from(monotonic_ns / 1_000_000).unwrap_or(i64::MAX);
        Now { monotonic_ns, wall_ms: EPOCH_MS.saturating_add(since_start_ms).saturating_add(ahead_ms) }
    }

    /// Tells `observer` what is committed.
    pub(crate) fn set_observer(&self, observer: Rc<dyn Observer>) {
        self.observer.replace(Some(observer));
    }

    /// The daemon is about to decide what an operation on a database does.
    pub(crate) fn begins(&self, database: &str) {
        if let Some(observer) = self.observer.borrow().as_ref() {
            observer.begins(self.record.machine(), database);
        }
    }

    /// A transaction took a database from one position to the next.
    pub(crate) fn committed(&self, database: &str, before: Position, after: Position) {
        if let Some(observer) = self.observer.borrow().as_ref() {
            observer.committed(self.record.machine(), database, before, after);
        }
    }

    /// A snapshot is about to take a database from one position to another.
    pub(crate) fn replaces(&self, database: &str, local: Position, next: Position) {
        if let Some(observer) = self.observer.borrow().as_ref() {
            observer.replaces(self.record.machine(), database, local, next);
        }
    }

    fn forgot(&self, everything: bool) {
        if let Some(observer) = self.observer.borrow().as_ref() {
            observer.forgot(self.record.machine(), everything);
        }
    }

    /// How its clocks differ from virtual time.
    pub(crate) fn clock(&self) -> Clock {
        self.clock.get()
    }

    /// Lets its clocks differ from virtual time. The drift of a machine stays what it is.
    pub(crate) fn set_clock(&self, clock: Clock) {
        self.clock.set(clock);
    }

    /// Stops everything on the machine for a while, as `SIGSTOP` and the schedulers of virtual machines do.
    pub(crate) fn freeze(&self, duration: Duration) {
        let until = rt::elapsed_ns() + u64::try_from(duration.as_nanos()).unwrap_or(0);
        self.frozen_until_ns.set(self.frozen_until_ns.get().max(until));
    }

    /// Ends [`Self::freeze`].
    pub(crate) fn thaw(&self) {
        self.frozen_until_ns.set(0);
    }

    /// How long to wait before looking again, if nothing goes on now.
    pub(crate) fn frozen_for(&self) -> Option<Duration> {
        let left = self.frozen_until_ns.get().saturating_sub(rt::elapsed_ns());
        (left > 0).then(|| Duration::from_nanos(left).min(FREEZE_STEP))
    }

    /// Waits until the machine goes on.
    pub(crate) async fn thawed(&self) {
        while let Some(left) = self.frozen_for() {
            rt::sleep(left).await;
        }
    }

    /// Lets the disk fail as `faults` say.
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.faults.replace(faults);
    }

    /// How the kernel behaves while programs run.
    pub(crate) fn set_kernel(&self, plan: &Plan) {
        self.pause_percent.set(plan.pause_percent);
        self.death_percent.set(if plan.kill_clients { 3 } else { 0 });
        let spans = plan.often == Some(Often::WriteBoth);
        self.super_death_percent.set(if plan.kill_clients && spans { 50 } else { 0 });
        self.split_writes.set(plan.split_writes);
        self.powersafe.set(plan.powersafe_overwrite);
        self.readable_wal_index.set(plan.readable_wal_index);
    }

    /// Whether SQLite may assume that a torn write leaves the bytes around it alone.
    pub(crate) fn is_powersafe(&self) -> bool {
        self.powersafe.get()
    }

    /// Whether the daemon can read the wal-index.
    pub(crate) fn is_wal_index_readable(&self) -> bool {
        self.readable_wal_index.get()
    }

    /// Whether the file of page checksums at `path` is there and cannot be used, though no sync has lied.
    pub(crate) fn has_torn_sums(&self, path: &Path) -> bool {
        let disk = self.disk.borrow();
        let Some(len) = disk.len(path) else { return false };
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        disk.read_at(path, 0, &mut bytes);
        SavedSums::decode(&bytes).is_none() && !self.record.saw("lying sync")
    }

    /// The segments of a database's log.
    pub(crate) fn segments(&self, database: &Rc<str>) -> Vec<Segment> {
        replay::segments(&self.disk.borrow(), database)
    }

    /// Keeps those of `segments` that retention has removed meanwhile, for those who check the log. Returns whether
    /// there are any.
    pub(crate) fn archive(&self, database: &Rc<str>, mut segments: Vec<Segment>) -> bool {
        let present = self.disk.borrow().segments(database);
        segments.retain(|segment| !present.contains(&segment.number));
        let any = !segments.is_empty();
        self.archive.borrow_mut().entry(Rc::clone(database)).or_default().extend(segments);
        any
    }

    /// What retention has removed of a database's log.
    pub(crate) fn archived(&self, database: &Rc<str>) -> Vec<Segment> {
        self.archive.borrow().get(database).cloned().unwrap_or_default()
    }

    /// The number of disk operations, and of those that failed, since faults were set.
    pub(crate) fn operations(&self) -> (u64, u64) {
        let faults = self.faults.borrow();
        (faults.operations(), faults.fired())
    }

    /// Whether the kernel sends the write that comes now in two pieces.
    pub(crate) fn splits_writes(&self) -> bool {
        self.split_writes.get() && self.rng.borrow_mut().percent(50)
    }

    /// The process that what runs now belongs to.
    pub(crate) fn current_process(&self) -> Process {
        coroutine::process().unwrap_or_else(|| self.daemon())
    }

    /// Process `number` in this life.
    pub(crate) fn process(&self, number: u64) -> Process {
        Process { generation: self.generation.get(), number }
    }

    /// The daemon in this life.
    pub(crate) fn daemon(&self) -> Process {
        self.process(0)
    }

    /// Which life of the node this is.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Whether the process can still do anything.
    pub(crate) fn is_alive(&self, process: Process) -> bool {
        process.generation == self.generation.get() && !self.dead_processes.borrow().contains(&process.number)
    }

    /// Adds a database that files are served for.
    pub(crate) fn attach(&self, database: Rc<Database>) {
        self.databases.borrow_mut().insert(Rc::clone(database.name()), database);
    }

    /// The database with this name.
    pub(crate) fn database(&self, name: &str) -> Option<Rc<Database>> {
        self.databases.borrow().get(name).cloned()
    }

    /// All databases.
    pub(crate) fn databases(&self) -> Vec<Rc<Database>> {
        self.databases.borrow().values().cloned().collect()
    }

    /// A random number of the node.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.rng.borrow_mut())
    }

    /// Ends every process. After a loss of power the disk also forgets what it may.
    pub(crate) fn crash(&self, crash: Crash) {
        let what = match crash {
            Crash::Kill => "all processes are killed",
            Crash::PowerLoss => "the power goes",
        };
        self.record.event_of(Topic::Role(Standing::Down), format_args!("{what}"));
        self.record.probe(match crash {
            Crash::Kill => "kill",
            Crash::PowerLoss => "loss of power",
        });
        self.generation.set(self.generation.get() + 1);
        self.dead_processes.borrow_mut().clear();
        self.doomed.borrow_mut().clear();
        self.end_databases();
        self.faults.replace(Faults::default());
        self.lost_power.set(crash == Crash::PowerLoss);
        if crash == Crash::PowerLoss {
            self.disk.borrow_mut().lose_power(&mut self.rng.borrow_mut());
            self.forgot(false);
        }
    }

    fn end_databases(&self) {
        for database in std::mem::take(&mut *self.databases.borrow_mut()).into_values() {
            database.unequip();
        }
    }

    /// Whether the last crash took the power.
    pub(crate) fn lost_power(&self) -> bool {
        self.lost_power.get()
    }

    /// Takes everything from the disk.
    pub(crate) fn wipe(&self) {
        let mut disk = self.disk.borrow_mut();
        *disk = MachineDisk::new(disk.file_system());
        self.forgot(true);
    }

    /// The applications that have a database open.
    pub(crate) fn applications(&self) -> Vec<u64> {
        let numbers: BTreeSet<u64> =
            self.databases().iter().flat_map(|database| database.applications()).collect();
        numbers.into_iter().collect()
    }

    /// Ends every process in order.
    pub(crate) fn restart(&self) {
        self.record.probe("restart in order");
        self.lost_power.set(false);
        self.generation.set(self.generation.get() + 1);
        self.dead_processes.borrow_mut().clear();
        self.doomed.borrow_mut().clear();
        self.end_databases();
    }

    /// Sometimes ends the process that has just committed to the WAL, before it can publish the commit in the wal-index.
    pub(crate) fn maybe_die_in_commit(&self, process: Process) {
        self.maybe_die(process, self.death_percent.get());
    }

    /// The same of a process that has removed a super-journal, before it can end the journals that name it.
    pub(crate) fn maybe_die_after_super_journal(&self, process: Process) {
        self.maybe_die(process, self.super_death_percent.get());
    }

    fn maybe_die(&self, process: Process, percent: u64) {
        if process.number != self.daemon().number && percent > 0 && self.draw(|rng| rng.percent(percent)) {
            self.record.event_of(Topic::Fault, format_args!("process {} dies in its commit", process.number));
            self.dead_processes.borrow_mut().insert(process.number);
            self.doomed.borrow_mut().insert(process.number);
            self.keep_shm_if_dead(process);
        }
    }

    /// Remembers shared memory until [`Self::restore_shm`] if a statement of a dead process is about to run on: SQLite
    /// undoes there what it cannot finish.
    pub(crate) fn keep_shm_if_dead(&self, process: Process) {
        if self.is_alive(process) || process.generation != self.generation.get() {
            return;
        }
        let databases = self.databases();
        let shms = databases.iter().filter_map(|database| database.shm());
        *self.kept_shm.borrow_mut() = shms.map(|shm| (Rc::downgrade(&shm), shm.content())).collect();
    }

    /// Takes back what a dead process did to shared memory.
    pub(crate) fn restore_shm(&self) {
        for (shm, content) in self.kept_shm.take() {
            if let Some(shm) = shm.upgrade() {
                shm.restore(content);
            }
        }
    }

    /// What may have been the end of a commit failed after the commit itself: a super-journal is gone although SQLite was
    /// told that it could not be removed, or the database file could not be cut after its journal ended.
    pub(crate) fn note_commit_seems_failed(&self) {
        self.commit_seems_failed.set(true);
    }

    /// Whether anything failed like that since the last call.
    pub(crate) fn take_commit_seems_failed(&self) -> bool {
        self.commit_seems_failed.take()
    }

    /// The processes that died in a commit since the last call.
    pub(crate) fn take_doomed(&self) -> BTreeSet<u64> {
        self.doomed.take()
    }

    /// Whether a database carries out a request of this process.
    pub(crate) fn is_serving(&self, number: u64) -> bool {
        self.databases().iter().any(|database| database.is_serving(number))
    }

    /// Ends one process by force, of which no request is being carried out; the daemon and the others go on. Returns the databases that nobody has open any more
    /// because of it, which the daemon has to be told of.
    pub(crate) fn end_process(&self, number: u64) -> Vec<Rc<Database>> {
        self.record.event_of(Topic::Fault, format_args!("end of process {number}"));
        self.record.probe("end of a process");
        self.dead_processes.borrow_mut().insert(number);
        self.databases().into_iter().filter(|database| database.end_process(number)).collect()
    }

    /// Changes the disk, unless the plan says that it fails.
    pub(crate) fn change(&self, process: Process, path: &Path, change: DiskChange<'_>) -> Result<(), Errno> {
        self.maybe_pause(process)?;
        let (kind, verdict) = {
            let kind = change.kind(self.disk.borrow().len(path));
            (kind, self.faults.borrow_mut().next(kind, Step::of(path, change)))
        };
        match change {
            DiskChange::Write { offset, data } => {
                let (len, content) = (data.len(), fingerprint(data));
                self.record
                    .event_of(Topic::Disk, format_args!("{path} write {offset} {len} {content} {verdict:?}"));
            }
            _ => self.record.event_of(Topic::Disk, format_args!("{path} {change:?} {verdict:?}")),
        }
        match verdict {
            Verdict::Proceed => {
                self.apply(path, change);
                Ok(())
            }
            Verdict::Fail(errno) => {
                self.record.probe("disk error");
                self.apply_part(path, change, kind);
                Err(errno)
            }
            Verdict::FailAndForget => {
                self.record.probe("lying sync");
                if matches!(change, DiskChange::Sync) {
                    self.disk.borrow_mut().forget_unsynced(path);
                    self.forgot(false);
                }
                Err(Errno::EIO)
            }
            Verdict::Crash(crash) => {
                let extent = self.draw(|rng| rng.below(3));
                match extent {
                    0 => {}
                    1 => self.apply(path, change),
                    _ => self.apply_part(path, change, kind),
                }
                self.crash(crash);
                Err(Errno::EIO)
            }
        }
    }

    /// Lets other statements run for a moment, now and then.
    pub(crate) fn maybe_pause(&self, process: Process) -> Result<(), Errno> {
        while self.is_alive(process)
            && let Some(left) = self.frozen_for()
            && coroutine::pause(left)
        {
            self.record.probe("frozen in a statement");
        }
        if self.is_alive(process) && self.rng.borrow_mut().percent(self.pause_percent.get()) {
            let wait = self.rng.borrow_mut().between(1, 4);
            if coroutine::pause(Duration::from_millis(wait)) {
                self.record.probe("pause in a statement");
            }
        }
        if self.is_alive(process) { Ok(()) } else { Err(Errno::EIO) }
    }

    fn apply(&self, path: &Path, change: DiskChange<'_>) {
        let mut disk = self.disk.borrow_mut();
        match change {
            DiskChange::Write { offset, data } => disk.write_at(path, offset, data),
            DiskChange::SetLen(len) => disk.set_len(path, len),
            DiskChange::Sync => disk.sync(path),
            DiskChange::Remove => disk.remove(path),
            DiskChange::Rename(to) => disk.rename(path, to),
            DiskChange::SyncDirectory => disk.sync_directory(path),
        }
    }

    /// Of a write, any number of the first bytes but not all; of anything else, nothing. In files that SQLite writes it
    /// ends with a sector: no kernel leaves half a header of a journal and says that the write failed.
    fn apply_part(&self, path: &Path, change: DiskChange<'_>, kind: Kind) {
        if let (Kind::Grow, DiskChange::Write { offset, data }) = (kind, change) {
            let mut kept = self.draw(|rng| rng.index(data.len() + 1)).min(data.len().saturating_sub(1));
            if !path.is_log() {
                let end = offset + kept as u64;
                kept = usize::try_from((end - end % SECTOR).saturating_sub(offset)).unwrap_or(0);
            }
            if kept > 0 {
                self.disk.borrow_mut().write_at(path, offset, &data[..kept]);
            }
        }
    }
}

impl Process {
    /// The life of the machine that it belongs to.
    pub(crate) fn generation(self) -> u64 {
        self.generation
    }

    /// Its number; 0 is the daemon.
    pub(crate) fn number(self) -> u64 {
        self.number
    }

    /// The daemon it talks to.
    pub(crate) fn daemon(self) -> Self {
        Self { number: 0, ..self }
    }

    /// The process that takes its place after its end.
    pub(crate) fn restarted(self) -> Self {
        Self { number: self.number + RESTARTED, ..self }
    }
}

impl DiskChange<'_> {
    fn kind(self, len: Option<u64>) -> Kind {
        match self {
            Self::Write { .. } => Kind::Grow,
            Self::SetLen(wanted) if wanted > len.unwrap_or(0) => Kind::Grow,
            Self::Sync | Self::SyncDirectory => Kind::Sync,
            Self::SetLen(_) | Self::Remove | Self::Rename(_) => Kind::Other,
        }
    }
}
