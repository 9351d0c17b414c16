use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use litefs_core::{DatabaseName, Position};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, warn};

use crate::{Host, ReceiveError, ReceivedBytes, ReceivedLtx};

/// Bytes of transactions in memory that wait to be applied, of all databases together.
const ROOM: usize = 64 << 20;
/// What a waiting transaction counts at least, so that the files of large ones are bounded in number, too.
const AT_LEAST: usize = 4 << 10;
/// How long applying one transaction may hold up other databases once [`ROOM`] is used up.
const STUCK: Duration = Duration::from_secs(2);
/// How long to wait before a transaction that could not be stored is fetched again.
const RETRY: Duration = Duration::from_secs(5);
/// Heartbeats that wait for transactions before them.
const MARKS: usize = 16;

/// Applies received transactions: those of one database in order, those of different databases independently.
///
/// The stream of the primary carries all databases in one order, so a database that is slow to apply, because a reader
/// holds a lock or it receives a large transaction, must not stop the reading. Its transactions wait in memory up to
/// [`ROOM`] in total; large ones wait in files. Once the room is used up and the database has been at the same
/// transaction for [`STUCK`], it is *detached*: what waits is dropped, and so is what still arrives for it. When it moves
/// again, [`Appliers::refetch`] tells that the stream must be started anew, which costs the others nothing because they
/// announce where they are. If only one database is replicated there is nobody to protect, and the primary is held up by
/// TCP.
#[derive(Clone)]
pub(super) struct Appliers(Arc<Shared>);

struct Shared {
    host: Arc<dyn Host>,
    state: Mutex<State>,
    /// There may be room, or nothing left to do.
    room: Notify,
    /// [`State::refetch_at`] changed.
    refetch: Notify,
}

#[derive(Default)]
struct State {
    databases: BTreeMap<DatabaseName, Work>,
    /// Bytes that count against [`ROOM`].
    used: usize,
    /// Number of the next transaction.
    next: u64,
    /// Transactions that were taken and are not applied yet.
    outstanding: BTreeSet<u64>,
    /// Transactions were dropped, so nothing the primary says on this stream is true of this node.
    incomplete: bool,
    /// What to tell the host once all transactions with smaller numbers are applied.
    marks: VecDeque<(u64, Mark)>,
    /// Databases whose transactions are dropped until the next stream.
    detached: BTreeSet<DatabaseName>,
    /// Databases that need a snapshot.
    need_snapshot: BTreeSet<DatabaseName>,
    /// When to start the stream anew, if something was dropped that can be fetched again.
    refetch_at: Option<Instant>,
}

/// The transactions of a database that is being applied to.
struct Work {
    /// When the transaction under way began, and where the database is after it.
    began: Instant,
    under_way: Position,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    number: u64,
    ltx: ReceivedLtx,
}

/// Something the primary said, which is true once everything before it is applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mark {
    /// Everything has been sent once.
    Ready,
    /// Everything up to this time has been sent.
    CaughtUp(i64),
}

impl Appliers {
    pub(super) fn new(host: Arc<dyn Host>) -> Self {
        let (room, refetch) = (Notify::new(), Notify::new());
        Self(Arc::new(Shared { host, state: Mutex::default(), room, refetch }))
    }

    /// A new stream begins. Returns the databases that are being applied to and where they will be, and those that need
    /// a snapshot.
    pub(super) fn restart(&self) -> (BTreeMap<DatabaseName, Position>, BTreeSet<DatabaseName>) {
        let mut state = self.0.lock();
        state.detached.clear();
        state.marks.clear();
        state.refetch_at = None;
        state.incomplete = false;
        let ends = state.databases.iter().map(|(name, work)| {
            let end = work.waiting.back().map_or(work.under_way, |last| last.ltx.position());
            (name.clone(), end)
        });
        let ends = ends.collect();
        (ends, std::mem::take(&mut state.need_snapshot))
    }

    /// Whether transactions of the database are dropped until the next stream.
    pub(super) fn is_detached(&self, database: &DatabaseName) -> bool {
        self.0.lock().detached.contains(database)
    }

    /// Takes a transaction to apply it after those taken before, once there is room for it. `alone` says that no other
    /// database waits for this one.
    pub(super) async fn submit(&self, database: DatabaseName, ltx: ReceivedLtx, alone: bool) {
        let size = size_of(&ltx);
        loop {
            let room = self.0.room.notified();
            {
                let mut state = self.0.lock();
                if state.detached.contains(&database) {
                    return;
                }
                if state.used == 0 || state.used + size <= ROOM {
                    let number = state.number();
                    state.used += size;
                    let waiting = Waiting { number, ltx };
                    if let Some(work) = state.databases.get_mut(&database) {
                        work.waiting.push_back(waiting);
                    } else {
                        let under_way = waiting.ltx.position();
                        let work = Work { began: Instant::now(), under_way, waiting: VecDeque::new() };
                        state.databases.insert(database.clone(), work);
                        tokio::spawn(apply(Arc::clone(&self.0), database, waiting));
                    }
                    return;
                }
            }
            if timeout(STUCK, room).await.is_err() && !alone {
                self.0.lock().detach_stuck();
            }
        }
    }

    /// The database cannot use what was received for it: the next stream asks for a snapshot.
    pub(super) fn need_snapshot(&self, database: &DatabaseName) {
        let mut state = self.0.lock();
        state.fail(database, true);
        self.0.schedule(&mut state, Duration::ZERO);
    }

    /// The transaction of the database that was arriving could not be kept: it is fetched again later.
    pub(super) fn lost(&self, database: &DatabaseName) {
        let mut state = self.0.lock();
        state.fail(database, false);
        self.0.schedule(&mut state, RETRY);
    }

    /// Tells the host once everything before is applied.
    pub(super) fn mark(&self, mark: Mark) {
        let mut state = self.0.lock();
        if state.marks.len() == MARKS {
            // The host learns of the newest heartbeat as well when the time comes.
            state.marks.pop_back();
        }
        let number = state.next;
        state.marks.push_back((number, mark));
        self.0.tell(&mut state);
    }

    /// Drops what waits, and returns when what is under way is applied.
    pub(super) async fn finish(&self) {
        loop {
            let done = self.0.room.notified();
            {
                let mut state = self.0.lock();
                if state.databases.is_empty() {
                    return;
                }
                let busy: Vec<_> = state.databases.keys().cloned().collect();
                for database in busy {
                    state.fail(&database, false);
                }
            }
            done.await;
        }
    }

    /// Returns when the stream should be started anew to fetch what was dropped.
    pub(super) async fn refetch(&self) {
        loop {
            let changed = self.0.refetch.notified();
            let at = self.0.lock().refetch_at;
            match at {
                None => changed.await,
                Some(at) => {
                    tokio::select! {
                        () = sleep_until(at) => return,
                        () = changed => (),
                    }
                }
            }
        }
    }
}

impl std::fmt::Debug for Appliers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Appliers").field("busy", &state.databases.len()).field("used", &state.used).finish()
    }
}

/// Applies transactions of one database until none waits.
async fn apply(shared: Arc<Shared>, database: DatabaseName, first: Waiting) {
    let mut next = Some(first);
    while let Some(Waiting { number, ltx }) = next.take() {
        let size = size_of(&ltx);
        let (host, name) = (Arc::clone(&shared.host), database.clone());
        let outcome = spawn_blocking(move || host.receive(&name, ltx)).await;
        let mut state = shared.lock();
        state.used -= size;
        state.outstanding.remove(&number);
        match outcome {
            Ok(Ok(_)) => (),
            Ok(Err(reason)) => {
                warn!(%database, %reason, "transaction was not applied");
                let (needs_snapshot, delay) = match reason {
                    ReceiveError::NeedsSnapshot(_) => (true, Duration::ZERO),
                    ReceiveError::PositionMismatch { .. } => (false, Duration::ZERO),
                    ReceiveError::Io(_) => (false, RETRY),
                };
                state.fail(&database, needs_snapshot);
                shared.schedule(&mut state, delay);
            }
            Err(panic) => {
                error!(%database, %panic, "applying a transaction panicked");
                state.fail(&database, false);
                shared.schedule(&mut state, RETRY);
            }
        }
        next = state.begin_next(&database);
        if next.is_none() && state.detached.contains(&database) {
            // It moves again, so what was dropped meanwhile can be fetched.
            shared.schedule(&mut state, Duration::ZERO);
        }
        shared.tell(&mut state);
        drop(state);
        shared.room.notify_waiters();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No caller panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the stream anew after `delay`, unless that happens later anyway.
    fn schedule(&self, state: &mut State, delay: Duration) {
        let at = Instant::now() + delay;
        state.refetch_at = Some(state.refetch_at.map_or(at, |earlier| earlier.max(at)));
        self.refetch.notify_waiters();
    }

    /// Tells the host the marks whose transactions are all applied.
    fn tell(&self, state: &mut State) {
        if state.incomplete {
            return;
        }
        let applied = state.outstanding.first().copied().unwrap_or(state.next);
        while let Some((number, mark)) = state.marks.front().copied() {
            if number > applied {
                break;
            }
            state.marks.pop_front();
            match mark {
                Mark::Ready => self.host.set_ready(),
                Mark::CaughtUp(primary_ms) => self.host.caught_up(primary_ms),
            }
        }
    }
}

impl State {
    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.outstanding.insert(number);
        number
    }

    /// Drops what waits for the database, and what comes for it.
    fn fail(&mut self, database: &DatabaseName, needs_snapshot: bool) {
        self.incomplete = true;
        self.detached.insert(database.clone());
        if needs_snapshot {
            self.need_snapshot.insert(database.clone());
        }
        if let Some(work) = self.databases.get_mut(database) {
            for waiting in work.waiting.drain(..) {
                self.outstanding.remove(&waiting.number);
                self.used -= size_of(&waiting.ltx);
            }
        }
    }

    fn detach_stuck(&mut self) {
        let stuck: Vec<_> = self
            .databases
            .iter()
            .filter(|(_, work)| work.began.elapsed() >= STUCK && !work.waiting.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        for database in stuck {
            warn!(%database, "transactions wait for too long to be applied, fetching them again later");
            self.fail(&database, false);
        }
    }

    /// The next transaction of the database, which is under way from now on, or `None` when none waits.
    fn begin_next(&mut self, database: &DatabaseName) -> Option<Waiting> {
        let work = self.databases.get_mut(database)?;
        match work.waiting.pop_front() {
            Some(waiting) => {
                work.began = Instant::now();
                work.under_way = waiting.ltx.position();
                Some(waiting)
            }
            None => {
                self.databases.remove(database);
                None
            }
        }
    }
}

/// What a transaction counts against [`ROOM`].
fn size_of(ltx: &ReceivedLtx) -> usize {
    match &ltx.bytes {
        ReceivedBytes::Memory(bytes) => bytes.len().max(AT_LEAST),
        // One such file for each mebibyte of room.
        ReceivedBytes::File { .. } => 1 << 20,
    }
}
