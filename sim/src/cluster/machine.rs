use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use litefs_core::Position;

use super::daemon::{Daemon, node_id};
use super::plan::Plan;
use super::witness::Witness;
use crate::coroutine;
use crate::database::Database;
use crate::engine::Engine;
use crate::faults::Faults;
use crate::network::Stack;
use crate::node::Node;
use crate::plan::Crash;
use crate::rt;
use crate::topic::{Standing, Topic};
use crate::world::Mounted;

/// A machine of the cluster through all its lives.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) node: Rc<Node>,
    pub(crate) stack: Rc<Stack>,
    plan: Rc<Plan>,
    witness: Rc<Witness>,
    mounted: Mounted,
    daemon: RefCell<Option<Rc<Daemon>>>,
    /// For how long it stays away after its next end.
    down: Cell<Duration>,
    /// Nothing goes wrong any more.
    healed: Cell<bool>,
}

impl Machine {
    pub(crate) fn new(node: Rc<Node>, stack: Rc<Stack>, plan: Rc<Plan>, witness: Rc<Witness>) -> Rc<Self> {
        let mounted = Mounted::new(&format!("n{}", node.record.machine()), Rc::clone(&node));
        Rc::new(Self {
            node,
            stack,
            plan,
            witness,
            mounted,
            daemon: RefCell::default(),
            down: Cell::new(Duration::ZERO),
            healed: Cell::new(false),
        })
    }

    /// The directory that programs see.
    pub(crate) fn directory(&self) -> String {
        self.mounted.path("")
    }

    /// The daemon, if one runs.
    pub(crate) fn daemon(&self) -> Option<Rc<Daemon>> {
        self.daemon.borrow().clone().filter(|daemon| daemon.is_alive())
    }

    /// Lets the next end last so long.
    pub(crate) fn stay_down(&self, down: Duration) {
        self.down.set(down);
    }

    /// Ends every process, and the machine too if the power goes.
    pub(crate) fn crash(&self, crash: Crash) {
        self.node.crash(crash);
    }

    /// Nothing goes wrong on it any more.
    pub(crate) fn heal(&self) {
        self.healed.set(true);
        self.down.set(Duration::ZERO);
        self.node.set_faults(Faults::default());
        self.node.thaw();
    }

    /// Keeps a daemon running: starts it, and starts it again whenever it ended.
    pub(crate) async fn supervise(self: Rc<Self>, over: Rc<Cell<bool>>) {
        while !over.get() {
            let generation = self.node.generation();
            self.node.set_kernel(&self.plan.machine);
            if self.boot() {
                let daemon = Daemon::start(&self.node, &self.stack, &self.plan, &self.witness);
                self.daemon.replace(Some(Rc::clone(&daemon)));
                while daemon.is_alive() && !over.get() {
                    rt::sleep(Duration::from_millis(5)).await;
                    self.restart_if_stopped();
                    self.bury().await;
                }
                if over.get() {
                    return;
                }
                if self.node.generation() == generation {
                    let down = Topic::Role(Standing::Down);
                    self.node.record.event_of(down, format_args!("the daemon has stopped"));
                    self.close();
                    self.node.restart();
                }
            } else if self.node.generation() == generation {
                // It cannot be opened on a disk that fails: the operator tries again.
                self.node.crash(Crash::Kill);
            }
            let powered = !self.node.lost_power();
            self.stack.processes_ended(powered);
            let down = self.down.replace(Duration::ZERO).max(Duration::from_millis(10));
            self.node.record.event_of(Topic::Note, format_args!("away for {down:?}"));
            let back = rt::elapsed_ns() + u64::try_from(down.as_nanos()).unwrap_or(0);
            rt::sleep(Duration::from_millis(10)).await;
            while rt::elapsed_ns() < back && !self.healed.get() {
                rt::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// What the operator does when a database is given up: the message says that a restart recovers it.
    fn restart_if_stopped(&self) {
        let stopped = self.node.databases().iter().any(|database| database.is_stopped());
        let patience = if self.healed.get() { 100 } else { 1 };
        if stopped && self.node.draw(|rng| rng.percent(patience)) {
            self.node.record.event_of(Topic::Note, format_args!("the operator restarts the daemon"));
            self.node.record.probe("operator restarted a stopped database");
            self.node.crash(Crash::Kill);
        }
    }

    /// What the kernel does when a program dies: its locks go, and its files are closed.
    async fn bury(&self) {
        let daemon = self.node.daemon();
        for number in self.node.take_doomed() {
            while self.node.is_serving(number) && self.node.is_alive(daemon) {
                rt::sleep(Duration::from_millis(1)).await;
            }
            let closed = self.node.end_process(number);
            let node = Rc::clone(&self.node);
            coroutine::run(&self.node, daemon, move || {
                for database in closed {
                    database.tell_closed(&node, daemon);
                }
            })
            .await;
        }
    }

    /// Opens all databases, which recovers them. False if the machine ended meanwhile, or its disk failed.
    fn boot(&self) -> bool {
        let number = self.node.record.machine();
        let (generation, failed_before) = (self.node.generation(), self.node.operations().1);
        for name in self.plan.machine.databases() {
            let name: Rc<str> = (*name).into();
            match Engine::open_for_reading(&self.node, &name, &self.plan.machine, node_id(number)) {
                Ok(engine) => {
                    let position = engine.position().unwrap_or(Position::ZERO);
                    let log = engine.driver().log();
                    let log: Vec<Position> = log
                        .first()
                        .and_then(|first| log.after(first.min_txid.prev()))
                        .map(|stored| stored.map(|stored| stored.post).collect())
                        .unwrap_or_default();
                    self.witness.opened(number, &name, position, &log);
                    let database = Rc::new(Database::new(name, engine, self.plan.machine.passthrough));
                    database.equip(&self.node);
                    self.node.attach(database);
                }
                Err(error) => {
                    if self.node.generation() == generation && self.node.operations().1 == failed_before {
                        self.node.record.violation(format!("{name} cannot be opened: {error}"));
                    }
                    return false;
                }
            }
        }
        true
    }

    fn close(&self) {
        for database in self.node.databases() {
            database.unequip();
            let closed = database.with_engine(&self.node, self.node.daemon(), |engine| engine.close());
            self.node.record.event(format_args!("{} closed with the daemon {closed:?}", database.name()));
        }
    }
}
