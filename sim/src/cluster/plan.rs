//! What one seed means for a cluster: every parameter and every fault, drawn before the run starts and printable.

use std::time::Duration;

use litefs_core::log::Retention;
use serde::{Deserialize, Serialize};

use super::workload::Features;
use crate::plan::{Crash, JournalMode, Plan as MachinePlan, UnderTest};
use crate::rng::Rng;

/// Every parameter of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// What everything else was drawn from.
    pub seed: u64,
    /// Machines, numbered from 1.
    pub machines: u8,
    /// What holds on each machine: the disk, SQLite and the daemon's options. Its lives are not used.
    pub machine: MachinePlan,
    /// For how long a lease is granted.
    #[serde(with = "crate::duration_text")]
    pub ttl: Duration,
    /// About how long a node waits before it tries again.
    #[serde(with = "crate::duration_text")]
    pub reconnect_delay: Duration,
    /// By how many nanoseconds in a millisecond the clock of each machine is fast.
    pub drift_ns: Vec<i64>,
    /// Of a hundred datagrams, how many get lost.
    pub loss_percent: u64,
    /// How long datagrams take at most, in milliseconds.
    pub latency_max_ms: u64,
    /// Of a hundred datagrams, how many arrive twice.
    pub duplicate_percent: u64,
    /// Most bytes in a segment of a connection.
    pub segment_max: usize,
    /// What the logs keep; `None` keeps all.
    #[serde(with = "crate::retention_text")]
    pub retention: Option<Retention>,
    /// Programs on each machine.
    pub clients: u64,
    /// The rarer things that programs do.
    pub workload: Features,
    /// How long things go wrong.
    #[serde(with = "crate::duration_text")]
    pub duration: Duration,
    /// What goes wrong, by time.
    pub faults: Vec<Fault>,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When it begins.
    #[serde(with = "crate::duration_text")]
    pub at: Duration,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// A machine, or all processes on it, end and come back.
    Crash {
        /// The machine.
        machine: u8,
        /// How.
        crash: Crash,
        /// At this disk operation from now on; at once if it is 0.
        operation: u64,
        /// For how long it stays away.
        #[serde(with = "crate::duration_text")]
        down: Duration,
    },
    /// The daemon ends in order, and comes back.
    Stop {
        /// The machine.
        machine: u8,
        /// For how long it stays away.
        #[serde(with = "crate::duration_text")]
        down: Duration,
    },
    /// Nothing goes on on a machine.
    Freeze {
        /// The machine.
        machine: u8,
        /// For how long.
        #[serde(with = "crate::duration_text")]
        duration: Duration,
    },
    /// A machine reaches nobody, or nobody reaches it.
    Isolate {
        /// The machine.
        machine: u8,
        /// Whether what is sent to it gets lost.
        inbound: bool,
        /// Whether what it sends gets lost.
        outbound: bool,
        /// For how long.
        #[serde(with = "crate::duration_text")]
        duration: Duration,
    },
    /// Two machines do not reach each other.
    Cut {
        /// One.
        one: u8,
        /// The other.
        other: u8,
        /// For how long.
        #[serde(with = "crate::duration_text")]
        duration: Duration,
    },
    /// All connections of a machine are reset.
    Reset {
        /// The machine.
        machine: u8,
    },
    /// The lease service does not answer.
    LeaseDown {
        /// For how long.
        #[serde(with = "crate::duration_text")]
        duration: Duration,
    },
    /// What the lease service answers is lost.
    LeaseMute {
        /// For how long.
        #[serde(with = "crate::duration_text")]
        duration: Duration,
    },
    /// The lease service forgets who is primary.
    LeaseExpired,
    /// The wall clock of a machine jumps.
    ClockJump {
        /// The machine.
        machine: u8,
        /// By how many milliseconds.
        by_ms: i64,
    },
    /// The disk of a machine has no space.
    DiskFull {
        /// The machine.
        machine: u8,
        /// For how many disk operations.
        operations: u64,
    },
    /// A disk operation of a machine fails.
    DiskError {
        /// The machine.
        machine: u8,
        /// The first one that can, from this number on.
        operation: u64,
        /// How.
        fault: crate::plan::DiskFault,
    },
    /// A machine loses its disk, while it is down.
    Wipe {
        /// The machine.
        machine: u8,
        /// For how long it stays away.
        #[serde(with = "crate::duration_text")]
        down: Duration,
    },
}

impl Plan {
    /// The run that `seed` stands for.
    pub fn of_seed(seed: u64) -> Self {
        let part = |name: &str| Rng::of_part(seed, name);
        let mut machine = MachinePlan::of_seed(seed, UnderTest::Machine);
        machine.lives.clear();
        // A statement takes virtual time only where it pauses, and one that pauses often is slow for everybody.
        machine.pause_percent = machine.pause_percent.min(2);
        machine.readable_wal_index = true;
        let mut rng = part("cluster");
        let machines = rng.pick(&[3, 3, 3, 3, 4, 5]);
        if rng.percent(50) {
            machine.journal_mode = JournalMode::Wal;
        }
        let ttl = Duration::from_millis(rng.pick(&[500, 1000, 2000, 4000]));
        let duration = Duration::from_secs(10);
        let drifts = rng.percent(50);
        let drift_ns = (0..machines).map(|_| if drifts { draw_drift(&mut rng) } else { 0 }).collect();
        let mut network = part("network");
        let bad = network.percent(40);
        Self {
            seed,
            machines,
            machine,
            ttl,
            reconnect_delay: Duration::from_millis(rng.pick(&[50, 200, 1000])),
            drift_ns,
            loss_percent: if bad { network.pick(&[0, 1, 5]) } else { 0 },
            latency_max_ms: if bad { network.pick(&[5, 20, 100]) } else { 3 },
            duplicate_percent: if bad { network.pick(&[0, 10]) } else { 0 },
            segment_max: if bad { network.pick(&[300, 1400, 16_000]) } else { 16_000 },
            retention: draw_retention(&mut part("retention")),
            clients: part("clients").between(1, 3),
            workload: Features::of_seed(seed),
            duration,
            faults: draw_faults(&mut part("faults"), machines, ttl, duration),
        }
    }
}

fn draw_retention(rng: &mut Rng) -> Option<Retention> {
    let age_ms = rng.pick(&[None, Some(0), Some(500), Some(3000)]);
    let size = rng.pick(&[None, None, Some(20_000)]);
    (age_ms.is_some() || size.is_some()).then_some(Retention { age_ms, size })
}

fn draw_drift(rng: &mut Rng) -> i64 {
    i64::try_from(rng.below(20_000)).unwrap_or(0) - 10_000
}

/// Faults of a few kinds: which ones there are in a run, and how often, is drawn first.
fn draw_faults(rng: &mut Rng, machines: u8, ttl: Duration, duration: Duration) -> Vec<Fault> {
    const KINDS: usize = 14;
    let weights: Vec<u64> =
        (0..KINDS).map(|_| if rng.percent(40) { rng.between(1, 10) } else { 0 }).collect();
    let total: u64 = weights.iter().sum();
    let mut faults = Vec::new();
    let count = if total == 0 { 0 } else { rng.between(1, 12) };
    for _ in 0..count {
        let mut draw = rng.below(total);
        let kind = weights.iter().position(|weight| {
            let found = draw < *weight;
            draw = draw.saturating_sub(*weight);
            found
        });
        let at = Duration::from_millis(rng.between(300, millis(duration)));
        faults.push(Fault { at, kind: draw_kind(rng, kind.unwrap_or(0), machines, ttl) });
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn draw_kind(rng: &mut Rng, kind: usize, machines: u8, ttl: Duration) -> FaultKind {
    let machine = u8::try_from(rng.between(1, u64::from(machines))).unwrap_or(1);
    let mut short = |most: Duration| Duration::from_millis(rng.between(10, millis(most)));
    let down = short(Duration::from_secs(3));
    let while_leased = short(ttl * 3);
    match kind {
        0 => FaultKind::Crash { machine, crash: Crash::Kill, operation: 0, down },
        1 => FaultKind::Crash { machine, crash: Crash::PowerLoss, operation: 0, down },
        2 => FaultKind::Crash { machine, crash: Crash::Kill, operation: rng.between(1, 200), down },
        3 => FaultKind::Crash { machine, crash: Crash::PowerLoss, operation: rng.between(1, 200), down },
        4 => FaultKind::Stop { machine, down },
        5 => FaultKind::Freeze { machine, duration: while_leased },
        6 => {
            let (inbound, outbound) = rng.pick(&[(true, true), (true, false), (false, true)]);
            FaultKind::Isolate { machine, inbound, outbound, duration: while_leased }
        }
        7 => {
            let other = u8::try_from(rng.between(1, u64::from(machines))).unwrap_or(1);
            FaultKind::Cut { one: machine, other, duration: while_leased }
        }
        8 => FaultKind::Reset { machine },
        9 => FaultKind::LeaseDown { duration: while_leased },
        10 => FaultKind::LeaseMute { duration: while_leased },
        11 => FaultKind::ClockJump { machine, by_ms: if rng.percent(50) { 3_600_000 } else { -3_600_000 } },
        12 => FaultKind::DiskFull { machine, operations: rng.between(1, 200) },
        _ => {
            let fault = rng.pick(&[
                crate::plan::DiskFault::Eio,
                crate::plan::DiskFault::Enospc,
                crate::plan::DiskFault::LyingSync,
            ]);
            FaultKind::DiskError { machine, operation: rng.between(1, 200), fault }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
