//! One run, from an empty disk through all lives of a node.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::Connection;

use crate::checker;
use crate::client::Client;
use crate::content_check::SCHEMA;
use crate::coroutine;
use crate::engine::Task;
use crate::faults::Faults;
use crate::history::History;
use crate::node::{Node, Process};
use crate::plan::{Crash, Life, Plan};
use crate::record::Record;
use crate::rng::Rng;
use crate::rt;
use crate::trace::{Entry, Keep, Trace, TraceHash};
use crate::vfs;
use crate::world::Mounted;

/// SQLite's random numbers are global to the process, so one run at a time.
pub(crate) static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// What was run.
    pub plan: Plan,
    /// The promises that were broken; none if all is well.
    pub violations: Vec<String>,
    /// How often each thing happened that must happen sometimes.
    pub probes: BTreeMap<&'static str, u64>,
    trace: Trace,
}

impl Report {
    /// The hash of everything that happened.
    pub fn hash(&self) -> TraceHash {
        self.trace.hash()
    }

    /// What happened, oldest first, as far as it was kept.
    pub fn latest(&self) -> impl Iterator<Item = &Entry> {
        self.trace.latest()
    }

    /// The number of things that happened.
    pub fn events(&self) -> u64 {
        self.trace.events()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:#?}", self.plan)?;
        for violation in &self.violations {
            writeln!(f, "violation: {violation}")?;
        }
        write!(f, "seed {}: {} events, trace {}", self.plan.seed, self.events(), self.hash())
    }
}

/// Runs `plan`.
///
/// # Panics
/// If the simulator itself is broken.
pub fn run(plan: Plan, keep: Keep) -> Report {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // A fresh thread for each run: the standard library and SQLite keep state a thread.
    let thread = std::thread::spawn(move || {
        let record = Record::new(Trace::new(keep));
        rt::run(plan.seed, simulate(plan.clone(), record.clone()));
        let (trace, violations, probes) = record.take();
        Report { plan, violations, probes, trace }
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn simulate(plan: Plan, record: Record) {
    let plan = Rc::new(plan);
    let node_rng = Rng::of_part(plan.seed, "node");
    let node = Rc::new(Node::new(record.clone(), plan.file_system, node_rng));
    let mounted = Mounted::new("n1", Rc::clone(&node));
    vfs::install();
    let history = Rc::new(RefCell::new(History::default()));
    let mut checker_rng = Rng::of_part(plan.seed, "checker");
    if checker::open_all(&node, &plan).is_none() {
        return;
    }
    if let Err(error) = create(&plan, &mounted) {
        record.violation(format!("the databases could not be created on a disk without faults: {error}"));
        return;
    }
    let mut clients: Vec<Client> = (1..=plan.clients)
        .map(|number| {
            let rng = Rng::of_part(plan.seed, &format!("client {number}"));
            let (node, plan, history) = (Rc::clone(&node), Rc::clone(&plan), Rc::clone(&history));
            Client::new(number, node, mounted.path(""), plan, history, rng)
        })
        .collect();
    for life in &plan.lives {
        let (back, ended) = live(&node, &plan, life, clients).await;
        clients = back;
        checker::recover_and_check(&node, &plan, &history, ended, &mut checker_rng);
        if record.is_violated() {
            break;
        }
    }
    let (tried, void) = history.borrow().counts();
    record.event(format_args!("{tried} transactions, {void} of them void"));
}

/// Creates the databases, durably.
fn create(plan: &Plan, mounted: &Mounted) -> Result<(), rusqlite::Error> {
    for database in plan.databases() {
        let connection = Connection::open(mounted.path(database))?;
        connection.execute_batch(&format!(
            "PRAGMA page_size = {}; PRAGMA auto_vacuum = {}; PRAGMA synchronous = extra; PRAGMA journal_mode = {}; \
             BEGIN; {SCHEMA} COMMIT",
            plan.page_size,
            plan.auto_vacuum,
            plan.journal_mode.sql()
        ))?;
        connection.close().map_err(|(_, error)| error)?;
    }
    Ok(())
}

/// One life of the node: all clients at work until they are done or the node is dead. Returns how it ended.
async fn live(
    node: &Rc<Node>,
    plan: &Rc<Plan>,
    life: &Life,
    clients: Vec<Client>,
) -> (Vec<Client>, Option<Crash>) {
    let generation = node.generation();
    node.set_faults(Faults::of(life));
    node.set_kernel(plan);
    let over = Rc::new(Cell::new(false));
    let daemon = rt::spawn(work(Rc::clone(node), node.daemon(), Rc::clone(plan), Rc::clone(&over)));
    let tasks: Vec<_> =
        (1..).zip(clients).map(|(number, client)| rt::spawn(client.live(node.process(number)))).collect();
    let mut clients = Vec::new();
    for task in tasks {
        clients.extend(task.join().await);
    }
    let mut ended = life.crash.map(|(_, crash)| crash);
    if node.generation() == generation
        && let Some(crash) = ended
    {
        node.crash(crash);
    }
    let mut disconnected = Vec::new();
    for client in clients {
        disconnected.push(client.disconnect().await);
    }
    over.set(true);
    daemon.join().await;
    node.set_faults(Faults::default());
    if node.generation() == generation {
        for database in node.databases() {
            let closed = database.with_engine(node, node.daemon(), |engine| engine.close());
            node.record.event(format_args!("{} stopped {closed:?}", database.name()));
        }
        ended = None;
        node.restart();
    }
    (disconnected, ended)
}

/// What happens at random moments until `over` or the node is dead: what the daemon does on its own, and applications
/// that are killed.
async fn work(node: Rc<Node>, daemon: Process, plan: Rc<Plan>, over: Rc<Cell<bool>>) {
    while !over.get() && node.is_alive(daemon) {
        rt::sleep(Duration::from_millis(node.draw(|rng| rng.between(1, 30)))).await;
        let mut closed = Vec::new();
        let applications = node.applications();
        if plan.kill_clients
            && node.is_alive(daemon)
            && !applications.is_empty()
            && node.draw(|rng| rng.percent(30))
        {
            let number = node.draw(|rng| rng.pick(&applications));
            while node.is_serving(number) && node.is_alive(daemon) {
                rt::sleep(Duration::from_millis(1)).await;
            }
            closed = node.end_process(number);
        }
        for number in node.take_doomed() {
            closed.extend(node.end_process(number));
        }
        let (worker, plan) = (Rc::clone(&node), Rc::clone(&plan));
        coroutine::run(&node, daemon, move || {
            for database in closed {
                database.tell_closed(&worker, daemon);
            }
            for database in worker.databases() {
                let mut task =
                    worker.draw(|rng| rng.pick(&[Task::Append, Task::Sync, Task::Sync, Task::Save]));
                if plan.extend_wal && worker.draw(|rng| rng.percent(30)) {
                    task = Task::ExtendWal(worker.draw(|rng| rng.between(0, 200_000)));
                    worker.record.probe("WAL extended");
                }
                if plan.retention && worker.draw(|rng| rng.percent(30)) {
                    task = Task::Expire(worker.draw(|rng| rng.pick(&[0, 8_000, 40_000])));
                }
                let result = database.with_engine(&worker, daemon, |engine| {
                    if !matches!(task, Task::Expire(_)) {
                        return engine.work(task);
                    }
                    let segments = worker.segments(database.name());
                    let result = engine.work(task);
                    if worker.archive(database.name(), segments) {
                        worker.record.probe("segment of the log removed");
                    }
                    result
                });
                worker.record.event(format_args!("{} {task:?} {result:?}", database.name()));
                database.publish_in_doubt(&worker, daemon);
            }
        })
        .await;
    }
}
