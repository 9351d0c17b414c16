use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use litefs_core::log::Retention;
use litefs_core::{DatabaseName, Position};

use super::database::Database;
use super::published::Facts;

/// Between two rounds, so that a busy writer's transactions go into the log together and its commits wake nobody.
const ROUND: Duration = Duration::from_micros(500);

/// How long a transaction may be not durable that nobody asked to be.
const LAZY_SYNC: Duration = Duration::from_secs(1);

/// How often recovery points are saved.
const HOUSEKEEPING: Duration = Duration::from_secs(10);

/// Somebody who wants to know what happens to the databases. Called on the log writer's thread; must not block.
pub trait Watcher: Send + Sync {
    /// Transactions were committed or applied; these are the facts since.
    fn committed(&self, name: &DatabaseName, facts: Facts);

    /// Transactions up to here can be sent to peers.
    fn durable(&self, name: &DatabaseName, position: Position);

    /// Whether somebody waits for transactions to be durable. If nobody does, that happens when it suits.
    fn is_waiting(&self) -> bool;
}

/// Wakes the log writer.
#[derive(Debug, Default)]
pub struct Doorbell {
    state: Mutex<State>,
    rang: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeSet<DatabaseName>,
    /// The writer sleeps until somebody rings, and not just between two rounds.
    idle: bool,
    stopping: bool,
}

impl Doorbell {
    /// Has the writer look at a database.
    pub(super) fn ring(&self, name: DatabaseName) {
        let mut state = self.state();
        state.waiting.insert(name);
        if state.idle {
            self.rang.notify_one();
        }
    }

    fn stop(&self) {
        self.state().stopping = true;
        self.rang.notify_one();
    }

    /// Waits for work until `deadline`. Returns who rang, and whether to stop.
    fn wait(&self, deadline: Instant) -> (BTreeSet<DatabaseName>, bool) {
        let mut state = self.state();
        while state.waiting.is_empty() && !state.stopping {
            let Some(rest) = deadline.checked_duration_since(Instant::now()) else { break };
            state.idle = true;
            state = self.rang.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
            state.idle = false;
        }
        (std::mem::take(&mut state.waiting), state.stopping)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the log writer finds databases.
pub(super) trait Registry: Send + Sync + 'static {
    fn find(&self, name: &DatabaseName) -> Option<Arc<Database>>;
    fn all(&self) -> Vec<Arc<Database>>;
    fn watcher(&self) -> Option<Arc<dyn Watcher>>;
}

/// The thread that takes committed transactions into the log, makes it durable and keeps it short.
#[derive(Debug)]
pub(super) struct LogWriter {
    doorbell: Arc<Doorbell>,
    thread: Option<JoinHandle<()>>,
}

impl LogWriter {
    pub(super) fn start(
        doorbell: Arc<Doorbell>,
        registry: std::sync::Weak<dyn Registry>,
        retention: Retention,
        retention_interval: Option<Duration>,
    ) -> std::io::Result<Self> {
        let bell = Arc::clone(&doorbell);
        let thread = thread::Builder::new()
            .name("litefs-log".to_owned())
            .spawn(move || run(&bell, &registry, retention, retention_interval))?;
        Ok(Self { doorbell, thread: Some(thread) })
    }

    pub(super) fn stop(&mut self) {
        self.doorbell.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    doorbell: &Doorbell,
    registry: &std::sync::Weak<dyn Registry>,
    retention: Retention,
    retention_interval: Option<Duration>,
) {
    let mut unsynced: BTreeSet<DatabaseName> = BTreeSet::new();
    let mut sync_due = Instant::now() + LAZY_SYNC;
    let mut house_due = Instant::now() + HOUSEKEEPING;
    let mut expired = Instant::now();
    loop {
        let deadline = if unsynced.is_empty() { house_due } else { sync_due.min(house_due) };
        let (rang, stopping) = doorbell.wait(deadline);
        let Some(registry) = registry.upgrade() else { return };
        let watcher = registry.watcher();
        let awaited = watcher.as_ref().is_some_and(|watcher| watcher.is_waiting());
        if unsynced.is_empty() {
            sync_due = Instant::now() + LAZY_SYNC;
        }
        for name in &rang {
            let Some(database) = registry.find(name) else { continue };
            database.answer();
            if database.append_pending() {
                unsynced.insert(name.clone());
            }
            database.publish_in_doubt(false);
            database.show_page_count();
            database.read_wal_ahead();
            if let Some(watcher) = &watcher {
                database.announce(watcher.as_ref());
            }
        }
        if awaited || stopping || Instant::now() >= sync_due {
            for name in std::mem::take(&mut unsynced) {
                let Some(database) = registry.find(&name) else { continue };
                database.sync_log();
                if let Some(watcher) = &watcher {
                    database.announce(watcher.as_ref());
                }
            }
        }
        if stopping {
            return;
        }
        if Instant::now() >= house_due {
            let expire = retention_interval.is_some_and(|interval| expired.elapsed() >= interval);
            if expire {
                expired = Instant::now();
            }
            for database in registry.all() {
                database.publish_in_doubt(true);
                database.keep_house(expire.then_some(retention));
            }
            house_due = Instant::now() + HOUSEKEEPING;
        }
        drop(registry);
        thread::sleep(ROUND);
    }
}
