//! What must hold once nothing goes wrong any more.

use std::rc::Rc;
use std::time::Duration;

use litefs_core::node::Role;
use rusqlite::Connection;

use super::checks::{Head, Outcome};
use super::machine::Machine;
use super::plan::Plan;
use super::witness::Witness;
use super::workload;
use crate::coroutine;
use crate::record::Record;
use crate::rt;
use crate::topic::Topic;

/// How long a cluster may take until all machines have the same, all faults being over.
const BOUND: Duration = Duration::from_secs(30);

/// Waits until a transaction is committed somewhere.
pub(crate) async fn serve_again(witness: &Rc<Witness>, record: &Record) {
    let acknowledged = || witness.ledger.borrow().acknowledged();
    let (before, until) = (acknowledged(), deadline());
    while acknowledged() == before && !record.is_violated() {
        if !witness.ledger.borrow().are_all_whole() {
            // What was damaged by writing it without a journal may be of no use to anybody.
            return;
        }
        if rt::elapsed_ns() > until {
            record.violation(format!("no program can write in {BOUND:?}"));
            return;
        }
        rt::sleep(Duration::from_millis(50)).await;
    }
}

fn deadline() -> u64 {
    rt::elapsed_ns() + u64::try_from(BOUND.as_nanos()).unwrap_or(u64::MAX)
}

/// Waits until all machines are at one position, and checks what they then have.
pub(crate) async fn come_together(
    plan: &Rc<Plan>,
    machines: &[Rc<Machine>],
    witness: &Rc<Witness>,
    record: &Record,
) {
    let until = deadline();
    let mut calm = 0;
    let mut last = None;
    while calm < 3 {
        if rt::elapsed_ns() > until {
            let states: Vec<_> = states(machines).await;
            record.violation(format!("the cluster does not come together in {BOUND:?}: {states:#?}"));
            return;
        }
        rt::sleep(Duration::from_millis(200)).await;
        let states = states(machines).await;
        let primaries = states.iter().filter(|state| state.0 == Some(Role::Primary)).count();
        let same = states.iter().all(|state| state.0.is_some() && state.1 == states[0].1);
        calm = if primaries == 1 && same && last.as_ref() == Some(&states) { calm + 1 } else { 0 };
        last = Some(states);
    }
    record.event_of(Topic::Note, format_args!("the cluster has come together"));
    check_contents(machines, record).await;
    check_reads(plan, machines, witness, record).await;
}

type State = (Option<Role>, Vec<(String, litefs_core::Position)>);

async fn states(machines: &[Rc<Machine>]) -> Vec<State> {
    let mut states = Vec::new();
    for machine in machines {
        let Some(daemon) = machine.daemon() else {
            states.push((None, Vec::new()));
            continue;
        };
        let positions = daemon.databases().positions().await.unwrap_or_default();
        let positions = positions.into_iter().map(|(name, at)| (name.to_string(), at)).collect();
        states.push((Some(daemon.role()), positions));
    }
    states
}

/// The same position is the same content, to the last byte.
async fn check_contents(machines: &[Rc<Machine>], record: &Record) {
    let mut first = None;
    for machine in machines {
        let Some(daemon) = machine.daemon() else { continue };
        let contents = daemon.databases().contents().await;
        match &first {
            None => first = Some(contents),
            Some(first) if *first == contents => {}
            Some(first) => {
                record.violation(format!(
                    "{} has {contents:?}, another machine has {first:?}",
                    machine.directory()
                ));
            }
        }
    }
}

/// What SQLite reads is whole, and nothing that was promised is missing.
async fn check_reads(plan: &Rc<Plan>, machines: &[Rc<Machine>], witness: &Rc<Witness>, record: &Record) {
    for machine in machines {
        for name in plan.machine.databases() {
            let path = format!("{}{name}", machine.directory());
            let (node, process) = (&machine.node, machine.node.process(99));
            let read = coroutine::run(node, process, move || {
                let connection = Connection::open(path)?;
                connection.execute_batch("PRAGMA busy_timeout = 2000; BEGIN")?;
                let head = workload::head(&connection, "main")?;
                Ok::<_, rusqlite::Error>((head, workload::look(&connection, "main", head, true)?))
            })
            .await;
            let record = record.of_machine(machine.node.record.machine());
            let ledger = witness.ledger.borrow();
            if !ledger.is_whole(name) {
                record.probe("database not whole in the end");
                continue;
            }
            match read {
                Err(error) => record.violation(format!("{name} cannot be read in the end: {error}")),
                Ok((head, look)) => {
                    let path = ledger.check_path(name, head, &look.entries).err();
                    for wrong in look.wrong.into_iter().chain(path).chain(ledger.check(name, head).err()) {
                        record.violation(format!("{name} in the end: {wrong}"));
                    }
                    let position = node.database(name).and_then(|database| database.position(node));
                    let last = match position {
                        Some(position) if head == Head::default() => witness.empty_since(name, position),
                        _ => head.number,
                    };
                    check_kept(name, last, witness, &record);
                }
            }
        }
    }
}

/// Transactions that programs were told of may only be missing if their primary lost its role to another machine before
/// they were sent, or with the power.
fn check_kept(database: &'static str, last: i64, witness: &Witness, record: &Record) {
    for link in witness.ledger.borrow().lost(database, last) {
        let taken_over = (link.epoch + 1..=witness.epoch())
            .any(|epoch| witness.primary_of(epoch).is_some_and(|machine| machine != link.machine));
        record.probe("acknowledged transaction lost with its primary");
        let spared = record.saw("loss of power") && link.outcome == Outcome::Committed;
        if !taken_over && !spared {
            record.violation(format!("{database} lacks {link:?}, and nobody took over from its primary"));
        }
    }
}
