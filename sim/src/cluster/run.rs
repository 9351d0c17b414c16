use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::lease_service::{LeaseService, SERVICE};
use super::machine::Machine;
use super::plan::{Fault, FaultKind, Plan};
use super::verdict;
use super::witness::Witness;
use super::workload::{Doors, Program, reap};
use crate::faults::Faults;
use crate::network::Stack;
use crate::node::{Clock, Node};
use crate::plan::Life;
use crate::record::Record;
use crate::rng::Rng;
use crate::rt::{self, Host};
use crate::run::ONE_AT_A_TIME;
use crate::topic::Topic;
use crate::trace::{Entry, Keep, Trace, TraceHash};
use crate::vfs;

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
    pub fn events(&self) -> impl Iterator<Item = &Entry> {
        self.trace.latest()
    }

    /// The number of things that happened.
    pub fn event_count(&self) -> u64 {
        self.trace.events()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.plan)?;
        for violation in &self.violations {
            writeln!(f, "violation: {violation}")?;
        }
        write!(f, "seed {}: {} events, trace {}", self.plan.seed, self.event_count(), self.hash())
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
    let part = |name: &str| Rng::of_part(plan.seed, name);
    let latency = Duration::from_millis(1)..Duration::from_millis(plan.latency_max_ms.max(2));
    rt::set_network(plan.loss_percent as f64 / 100.0, latency);
    let stack = async |number: u8| {
        let rng = part(&format!("stack {number}"));
        Stack::new(Host::new(number).await, plan.duplicate_percent, plan.segment_max, rng)
    };
    let service = LeaseService::new(stack(SERVICE).await, plan.ttl, record.of_machine(SERVICE));
    let witness = Witness::new(record.clone(), Rc::clone(&service));
    vfs::install();
    vfs::move_pending_byte(plan.workload.pending_byte);
    let mut machines = Vec::new();
    for number in 1..=plan.machines {
        let record = record.of_machine(number);
        let node = Rc::new(Node::new(record, plan.machine.file_system, part(&format!("node {number}"))));
        let drift_ns = plan.drift_ns.get(usize::from(number) - 1).copied().unwrap_or(0);
        node.set_clock(Clock { drift_ns, ahead_ms: 0 });
        node.set_observer(Rc::clone(&witness) as _);
        machines.push(Machine::new(node, stack(number).await, Rc::clone(&plan), Rc::clone(&witness)));
    }
    let (clients_over, over) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let supervisors: Vec<_> =
        machines.iter().map(|machine| rt::spawn(Rc::clone(machine).supervise(Rc::clone(&over)))).collect();
    let mut clients = Vec::new();
    let mut reapers = Vec::new();
    for machine in &machines {
        let doors = Rc::new(Doors::default());
        if plan.machine.kill_clients {
            reapers.push(rt::spawn(reap(Rc::clone(&machine.node), Rc::clone(&clients_over))));
        }
        for number in 1..=plan.clients {
            let rng = part(&format!("client {number} of {}", machine.directory()));
            let (node, directory) = (Rc::clone(&machine.node), machine.directory());
            let (plan, witness, doors) = (Rc::clone(&plan), Rc::clone(&witness), Rc::clone(&doors));
            let program = Program::new(number, node, directory, plan, witness, doors, rng);
            clients.push(rt::spawn(program.live(Rc::clone(&clients_over))));
        }
    }
    for fault in &plan.faults {
        pass_until(fault.at, &record).await;
        if record.is_violated() {
            break;
        }
        record.event_of(Topic::Fault, format_args!("{}", fault.kind));
        inject(fault, &machines, &service);
    }
    pass_until(plan.duration, &record).await;
    heal(&plan, &machines, &service, &record);
    if !record.is_violated() {
        verdict::serve_again(&witness, &record).await;
    }
    clients_over.set(true);
    for task in clients.into_iter().chain(reapers) {
        task.join().await;
    }
    if !record.is_violated() {
        verdict::come_together(&plan, &machines, &witness, &record).await;
    }
    over.set(true);
    for supervisor in supervisors {
        supervisor.join().await;
    }
    record.event_of(Topic::Note, format_args!("{} transactions tried", witness.ledger.borrow().tried()));
}

/// Waits until this time of the run, or until a promise is broken: what comes after that tells nothing.
async fn pass_until(time: Duration, record: &Record) {
    while !record.is_violated() {
        let left = time.saturating_sub(Duration::from_nanos(rt::elapsed_ns()));
        if left.is_zero() {
            return;
        }
        rt::sleep(left.min(Duration::from_millis(100))).await;
    }
}

fn inject(fault: &Fault, machines: &[Rc<Machine>], service: &Rc<LeaseService>) {
    let on = |number: u8| Rc::clone(&machines[usize::from(number) - 1]);
    match fault.kind {
        FaultKind::Crash { machine, crash, operation: 0, down } => {
            on(machine).stay_down(down);
            on(machine).crash(crash);
        }
        FaultKind::Crash { machine, crash, operation, down } => {
            on(machine).stay_down(down);
            on(machine).node.set_faults(Faults::crash_at(operation, crash));
        }
        FaultKind::Stop { machine, down } => {
            let machine = on(machine);
            machine.stay_down(down);
            if let Some(daemon) = machine.daemon() {
                drop(rt::spawn(async move { daemon.stop().await }));
            }
        }
        FaultKind::Freeze { machine, duration } => on(machine).node.freeze(duration),
        FaultKind::Isolate { machine, inbound, outbound, duration } => {
            let machine = on(machine);
            let others: Vec<_> = machines
                .iter()
                .filter(|other| !Rc::ptr_eq(other, &machine))
                .map(|other| other.stack.host().clone())
                .chain([service.host().clone()])
                .collect();
            let here = machine.stack.host().clone();
            let set = move |open: bool| {
                for other in &others {
                    if inbound {
                        other.set_open_to(&here, open);
                    }
                    if outbound {
                        here.set_open_to(other, open);
                    }
                }
            };
            for_a_while(set, duration);
        }
        FaultKind::Cut { one, other, duration } => {
            let (one, other) = (on(one).stack.host().clone(), on(other).stack.host().clone());
            let set = move |open: bool| {
                one.set_open_to(&other, open);
                other.set_open_to(&one, open);
            };
            for_a_while(set, duration);
        }
        FaultKind::Reset { machine } => on(machine).stack.reset_connections(),
        FaultKind::LeaseDown { duration } => service.go_down(duration),
        FaultKind::LeaseMute { duration } => service.go_mute(duration),
        FaultKind::LeaseExpired => service.expire(),
        FaultKind::ClockJump { machine, by_ms } => {
            let node = &on(machine).node;
            let clock = node.clock();
            node.set_clock(Clock { ahead_ms: clock.ahead_ms + by_ms, ..clock });
        }
        FaultKind::DiskFull { machine, operations } => {
            on(machine).node.set_faults(Faults::of(&Life { full: 0..operations, ..Life::default() }));
        }
        FaultKind::DiskError { machine, operation, fault } => {
            let errors = vec![(operation, fault)];
            on(machine).node.set_faults(Faults::of(&Life { errors, ..Life::default() }));
        }
        FaultKind::Wipe { machine, down } => {
            on(machine).stay_down(down);
            on(machine).crash(crate::plan::Crash::Kill);
            on(machine).node.wipe();
        }
    }
}

/// Cuts something off, and opens it again later.
fn for_a_while(set: impl Fn(bool) + 'static, duration: Duration) {
    set(false);
    drop(rt::spawn(async move {
        rt::sleep(duration).await;
        set(true);
    }));
}

/// Ends everything that goes wrong.
fn heal(plan: &Plan, machines: &[Rc<Machine>], service: &Rc<LeaseService>, record: &Record) {
    record.event_of(Topic::Fault, format_args!("everything is healed"));
    let hosts: Vec<_> = machines.iter().map(|machine| machine.stack.host()).chain([service.host()]).collect();
    for one in &hosts {
        for other in &hosts {
            one.set_open_to(other, true);
        }
    }
    rt::set_network(0.0, Duration::from_millis(1)..Duration::from_millis(plan.latency_max_ms.clamp(2, 5)));
    service.go_down(Duration::ZERO);
    service.go_mute(Duration::ZERO);
    for machine in machines {
        machine.heal();
    }
}
