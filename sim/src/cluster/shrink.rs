use std::time::Duration;

use super::plan::{FaultKind, Plan};
use crate::plan::{FileSystem, Plan as MachinePlan, Synchronous};

/// The shortest run that is tried.
const SHORTEST: Duration = Duration::from_millis(500);

/// Looks for the simplest plan that breaks the same promise: with the fewest faults first of all.
pub struct Shrink<'a> {
    best: Plan,
    tries: u64,
    /// How many seeds each plan gets. With other random numbers the same faults meet other moments.
    attempts: u64,
    breaks: &'a mut dyn FnMut(&Plan) -> bool,
    tell: &'a mut dyn FnMut(u64, &str),
}

impl std::fmt::Debug for Shrink<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shrink").field("best", &self.best).field("tries", &self.tries).finish_non_exhaustive()
    }
}

/// What makes a plan simpler, one thing at a time.
type Simplification = (&'static str, fn(&mut Plan));

const SIMPLIFICATIONS: [Simplification; 16] = [
    ("nothing is lost on the network", |plan| plan.loss_percent = 0),
    ("nothing arrives twice", |plan| plan.duplicate_percent = 0),
    ("a fast network", |plan| plan.latency_max_ms = plan.latency_max_ms.min(3)),
    ("long segments", |plan| plan.segment_max = 16_000),
    ("clocks that agree", |plan| plan.drift_ns.fill(0)),
    ("no pauses in statements", |plan| plan.machine.pause_percent = 0),
    ("one database", |plan| plan.machine.attach = false),
    ("one journal mode", |plan| plan.machine.switch_journal_mode = false),
    ("no compression", |plan| plan.machine.compress = false),
    ("writes in one piece", |plan| plan.machine.split_writes = false),
    ("an orderly file system", |plan| plan.machine.file_system = FileSystem::Ext4),
    ("powersafe overwrite", |plan| plan.machine.powersafe_overwrite = true),
    ("no auto-vacuum", |plan| plan.machine.auto_vacuum = 0),
    ("a large cache", |plan| plan.machine.cache_pages = plan.machine.cache_pages.max(200)),
    ("full synchronization", |plan| plan.machine.synchronous = Synchronous::Full),
    ("long segments of the log", |plan| {
        let MachinePlan { segment_len_max, backlog_max, .. } = &mut plan.machine;
        (*segment_len_max, *backlog_max) = (10_000_000, 1000);
    }),
];

impl<'a> Shrink<'a> {
    /// Begins with `plan`, which breaks the promise. `breaks` says whether another plan does too, and `tell` hears how many
    /// were tried, and what was simplified.
    pub fn new(
        plan: Plan,
        attempts: u64,
        breaks: &'a mut dyn FnMut(&Plan) -> bool,
        tell: &'a mut dyn FnMut(u64, &str),
    ) -> Self {
        Self { best: plan, tries: 0, attempts, breaks, tell }
    }

    /// The simplest plan that was found.
    pub fn run(mut self) -> Plan {
        loop {
            let before = text(&self.best);
            self.fewer_faults();
            self.fewer_machines();
            self.fewer_clients();
            self.shorter();
            for (what, simplify) in SIMPLIFICATIONS {
                let mut plan = self.best.clone();
                simplify(&mut plan);
                self.attempt(plan, what);
            }
            if text(&self.best) == before {
                return self.best;
            }
        }
    }

    /// Takes `plan` if it is another one and breaks the promise, with its own seed or one after it.
    fn attempt(&mut self, plan: Plan, what: &str) -> bool {
        if text(&plan) == text(&self.best) {
            return false;
        }
        for further in 0..self.attempts {
            let plan = Plan { seed: plan.seed.wrapping_add(further), ..plan.clone() };
            self.tries += 1;
            if (self.breaks)(&plan) {
                (self.tell)(self.tries, what);
                self.best = plan;
                return true;
            }
        }
        (self.tell)(self.tries, "");
        false
    }

    /// Delta debugging: leaves out half of the faults, a quarter and so on, down to single ones.
    fn fewer_faults(&mut self) {
        let mut size = self.best.faults.len();
        while size > 0 {
            let mut from = 0;
            while from < self.best.faults.len() {
                let mut plan = self.best.clone();
                let to = (from + size).min(plan.faults.len());
                plan.faults.drain(from..to);
                let left = plan.faults.len();
                if !self.attempt(plan, &format!("{left} faults")) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    fn fewer_machines(&mut self) {
        for machine in (1..=self.best.machines).rev() {
            if self.best.machines > 1 {
                let plan = without_machine(&self.best, machine);
                self.attempt(plan, &format!("{} machines", self.best.machines - 1));
            }
        }
    }

    /// Not none: that nobody can write would be true of it.
    fn fewer_clients(&mut self) {
        for clients in 1..self.best.clients {
            let plan = Plan { clients, ..self.best.clone() };
            if self.attempt(plan, &format!("{clients} programs on each machine")) {
                return;
            }
        }
    }

    /// Halves the time, then takes a quarter of it off, and so on.
    fn shorter(&mut self) {
        let mut cut = self.best.duration / 2;
        while cut >= Duration::from_millis(100) {
            let duration = self.best.duration.saturating_sub(cut).max(SHORTEST);
            let mut plan = Plan { duration, ..self.best.clone() };
            plan.faults.retain(|fault| fault.at < duration);
            let text = format!("{} ms", duration.as_millis());
            if !self.attempt(plan, &text) {
                cut /= 2;
            } else if cut > self.best.duration / 2 {
                cut = self.best.duration / 2;
            }
        }
    }
}

/// The same without one machine; those after it move up.
fn without_machine(plan: &Plan, gone: u8) -> Plan {
    let mut plan = plan.clone();
    plan.machines -= 1;
    if usize::from(gone) <= plan.drift_ns.len() {
        plan.drift_ns.remove(usize::from(gone) - 1);
    }
    plan.faults.retain(|fault| !fault.kind.machines().contains(&gone));
    for fault in &mut plan.faults {
        fault.kind.renumber(|machine| if machine > gone { machine - 1 } else { machine });
    }
    plan
}

impl FaultKind {
    /// Lets it befall other machines.
    fn renumber(&mut self, new: impl Fn(u8) -> u8) {
        match self {
            Self::Crash { machine, .. }
            | Self::Stop { machine, .. }
            | Self::Freeze { machine, .. }
            | Self::Isolate { machine, .. }
            | Self::Reset { machine }
            | Self::ClockJump { machine, .. }
            | Self::DiskFull { machine, .. }
            | Self::DiskError { machine, .. }
            | Self::Wipe { machine, .. } => *machine = new(*machine),
            Self::Cut { one, other, .. } => (*one, *other) = (new(*one), new(*other)),
            Self::LeaseDown { .. } | Self::LeaseMute { .. } | Self::LeaseExpired => {}
        }
    }
}

/// All of a plan but its seed.
fn text(plan: &Plan) -> String {
    format!("{:?}", Plan { seed: 0, ..plan.clone() })
}

#[cfg(test)]
mod tests {
    use super::super::plan::Fault;
    use super::*;

    fn plan(faults: &[FaultKind]) -> Plan {
        let at = |index: usize| Duration::from_millis(100 * (index as u64 + 1));
        let faults = faults.iter().enumerate().map(|(index, kind)| Fault { at: at(index), kind: *kind });
        Plan { machines: 4, clients: 3, loss_percent: 5, faults: faults.collect(), ..Plan::of_seed(1) }
    }

    fn shrunk(plan: &Plan, attempts: u64, mut breaks: impl FnMut(&Plan) -> bool) -> (Plan, u64) {
        let mut tries = 0;
        let mut tell = |tried: u64, _: &str| tries = tried;
        let plan = Shrink::new(plan.clone(), attempts, &mut breaks, &mut tell).run();
        (plan, tries)
    }

    const RESETS: [FaultKind; 4] = [
        FaultKind::Reset { machine: 1 },
        FaultKind::Reset { machine: 2 },
        FaultKind::LeaseExpired,
        FaultKind::Reset { machine: 4 },
    ];

    #[test]
    fn everything_goes_that_the_promise_does_not_need() {
        let (simple, _) = shrunk(&plan(&RESETS), 1, |_| true);
        assert_eq!(simple.faults, []);
        assert_eq!((simple.machines, simple.clients, simple.loss_percent), (1, 1, 0));
        assert_eq!(simple.drift_ns.len(), 1);
        assert_eq!(simple.duration, SHORTEST);
    }

    #[test]
    fn what_the_promise_needs_stays() {
        let needs = |plan: &Plan| {
            let has = |kind| plan.faults.iter().any(|fault| fault.kind == kind);
            has(FaultKind::LeaseExpired)
                && plan.faults.iter().filter(|fault| matches!(fault.kind, FaultKind::Reset { .. })).count()
                    == 2
                && plan.clients >= 2
                && plan.loss_percent > 0
        };
        let all = [&RESETS[..], &RESETS[2..3]].concat();
        let mut first = plan(&all);
        first.faults.remove(0);
        let (simple, _) = shrunk(&first, 1, needs);
        assert_eq!((simple.faults.len(), simple.clients, simple.loss_percent), (3, 2, 5));
    }

    #[test]
    fn machines_that_stay_move_up() {
        let (simple, _) = shrunk(&plan(&RESETS), 1, |plan| {
            plan.faults.iter().any(|fault| fault.at == Duration::from_millis(400))
        });
        assert_eq!(simple.machines, 1);
        assert_eq!(simple.faults[0].kind, FaultKind::Reset { machine: 1 });
    }

    #[test]
    fn another_seed_is_tried_before_a_plan_is_given_up() {
        let lucky = |plan: &Plan| plan.seed.is_multiple_of(3);
        assert_eq!(shrunk(&plan(&RESETS), 1, lucky).0.faults.len(), 4);
        let (simple, tries) = shrunk(&plan(&RESETS), 3, lucky);
        assert_eq!((simple.faults.len(), simple.seed % 3), (0, 0));
        assert!(tries < 100, "{tries}");
    }
}
