use std::collections::BTreeMap;

use litefs_sim::cluster::Report;
use litefs_sim::cluster::plan::Fault;
use litefs_sim::{Answer, At, Entry, LEASE_SERVICE, Topic, lane_name};
use serde::Serialize;
use serde_json::{Value, json};

use super::messages::{Line, lines};

/// What the page is made of. All times are virtual nanoseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Data {
    /// As text: it may have more digits than a number of JavaScript.
    seed: String,
    hash: String,
    /// Everything of the plan.
    plan: String,
    violations: Vec<String>,
    lanes: Vec<Lane>,
    /// When all is healed.
    healed: u64,
    faults: Vec<Span>,
    messages: Vec<Line>,
    events: Vec<Value>,
    probes: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct Lane {
    machine: u8,
    name: String,
}

/// A fault of the plan.
#[derive(Debug, Serialize)]
struct Span {
    machines: Vec<u8>,
    at: u64,
    /// When it is over, if it lasts.
    until: Option<u64>,
    /// Whether the machine stands still.
    freeze: bool,
    text: String,
}

impl Data {
    /// All of a run.
    pub(crate) fn of(report: &Report) -> Self {
        let plan = &report.plan;
        let lanes = [LEASE_SERVICE].into_iter().chain(1..=plan.machines);
        Self {
            seed: plan.seed.to_string(),
            hash: report.hash().to_string(),
            plan: plan.to_string(),
            violations: report.violations.clone(),
            lanes: lanes.map(|machine| Lane { machine, name: lane_name(machine) }).collect(),
            healed: nanos(plan.duration),
            faults: plan.faults.iter().map(span).collect(),
            messages: lines(report.events()),
            events: report.events().map(event).collect(),
            probes: report.probes.clone(),
        }
    }
}

fn span(fault: &Fault) -> Span {
    let at = nanos(fault.at);
    Span {
        machines: fault.kind.machines(),
        at,
        until: fault.kind.duration().map(|duration| at + nanos(duration)),
        freeze: fault.kind.is_freeze(),
        text: fault.kind.to_string(),
    }
}

/// Time, machine, topic, text, and what else the page needs to know. A short form: there are tens of thousands.
fn event(entry: &Entry) -> Value {
    let Entry { at_ns, machine, topic, text } = entry;
    let at = |At { database, txid }: &At| json!([database, txid]);
    let more = match topic {
        Topic::Role(standing) => json!(standing.name()),
        Topic::Commit(position) | Topic::Apply(position) | Topic::Open(position) => at(position),
        Topic::Statement(answer) => json!(match answer {
            Answer::Ok => "ok",
            Answer::Busy => "busy",
            Answer::Failed => "failed",
        }),
        Topic::Lease(lease) => json!(lease.map(|lease| [u64::from(lease.machine), lease.until_ns])),
        _ => return json!([at_ns, machine, topic.name(), text]),
    };
    json!([at_ns, machine, topic.name(), text, more])
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
