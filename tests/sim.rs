//! Real SQLite over the machine, on a disk that fails, reproducibly. `SIM_SEED=N` and `SIM_SEEDS=N` choose what is run.

use std::collections::BTreeMap;

use litefs_sim::plan::{Plan, UnderTest};
use litefs_sim::run::{Report, run};

/// Where fresh seeds begin, unless `SIM_SEED` says otherwise.
const BASE: u64 = 1;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
        Err(_) => default,
    }
}

/// What a seed can stand for.
#[derive(Clone, Copy, Debug)]
enum Runs {
    WithoutMachine,
    Machine,
    Aimed,
}

impl Runs {
    fn plan(self, seed: u64) -> Plan {
        match self {
            Self::WithoutMachine => Plan::of_seed(seed, UnderTest::Nothing),
            Self::Machine => Plan::of_seed(seed, UnderTest::Machine),
            Self::Aimed => Plan::aimed(seed),
        }
    }
}

/// The command that runs the plan of `report` again and prints everything that happens.
fn replay_command(runs: Runs, report: &Report) -> String {
    let test = match runs {
        Runs::WithoutMachine => "replay_without_machine",
        Runs::Machine => "replay",
        Runs::Aimed => "replay_aimed",
    };
    format!(
        "SIM_SEED={} cargo test --features sim --test sim {test} -- --exact --ignored --nocapture",
        report.plan.seed
    )
}

/// Runs `count` seeds and fails with everything there is to know about those that break a promise.
fn run_seeds(runs: Runs, count: u64) -> BTreeMap<&'static str, u64> {
    let base = number("SIM_SEED", BASE);
    let count = number("SIM_SEEDS", count);
    println!("seeds {base} to {}", base + count - 1);
    let mut probes = BTreeMap::new();
    let mut broken = Vec::new();
    for seed in base..base + count {
        let report = run(runs.plan(seed), false);
        for (probe, times) in &report.probes {
            *probes.entry(*probe).or_default() += times;
        }
        if !report.violations.is_empty() {
            let latest: Vec<&str> = report.latest().collect();
            println!("{}\n{report}\nreplay it with: {}\n", latest.join("\n"), replay_command(runs, &report));
            broken.push(format!("{}: {}", replay_command(runs, &report), report.violations[0]));
        }
    }
    println!("{probes:#?}");
    assert!(broken.is_empty(), "{} of {count} seeds break a promise:\n{}", broken.len(), broken.join("\n"));
    probes
}

/// What must happen at least once in as many seeds as the test runs.
const SOMETIMES: [&str; 17] = [
    "WAL extended",
    "crash inside recovery",
    "database stopped in a commit",
    "disk error",
    "end of a process",
    "journal mode changed",
    "kill",
    "loss of power",
    "lying sync",
    "pause in a statement",
    "recovery captured from the WAL",
    "recovery redid",
    "recovery rolled back",
    "recovery trimmed the log",
    "restart in order",
    "transaction in doubt published",
    "transaction over two databases",
];

/// Seeds that broke a promise once, and what they found.
const REGRESSIONS: [(u64, &str); 35] = [
    (17, "the newest segment has lost its header with the power, and the database cannot be opened"),
    (41, "a rolled back transaction leaves pages of the freelist changed that its journal does not have"),
    (68, "the same, by another way"),
    (79, "the newest segment has lost its header with the power, and the log counts as damaged"),
    (110, "a crash in the middle of a redo that shrinks the database for a while"),
    (127, "a checkpoint's writes that the kernel splits are taken for writes without a journal"),
    (144, "the WAL cannot be synced after its commit was accepted"),
    (176, "the zeroed journal cannot be synced after the transaction is in the log"),
    (181, "the log has a transaction that failed in a sync of the WAL, and then its reversal"),
    (316, "a crash after recovery saved its sums and before it removed the WAL captures the WAL again"),
    (318, "the log is synced again after a sync of it failed, and believed"),
    (355, "the database file is synced again after a sync of it failed, and believed"),
    (566, "the WAL is synced again after a sync of it failed, and believed"),
    (595, "a WAL that is behind the log is copied over what the log says"),
    (614, "a database file that lags behind its WAL is taken for a transaction when the last handle closes"),
    (616, "a commit is refused after the super-journal that made it final is gone"),
    (772, "readers see a transaction that failed in a sync of the WAL"),
    (294, "the WAL is begun again over a commit whose writer died before it published it"),
    (1332, "the journal of a saved transaction comes back with a loss of power"),
    (2201, "a loss of power tears a record of the journal, and its checksum does not notice"),
    (5447, "a journal whose header is torn by a loss of power is taken for one of an old SQLite"),
    (7007, "a journal cannot be shortened after its transaction is in the log"),
    (3169, "the header of a commit is valid with the page that an older generation left behind it"),
    (305_873, "a WAL that nobody published is copied to the database file before the log has it"),
    (306_359, "a segment whose sync failed is written again without its header"),
    (310_139, "the database file lacks a last page of zeros that the WAL has"),
    (
        718_035,
        "a file that ends within a page that ends in zeros is not brought to its length by the journal",
    ),
    (705_684, "pages written past the daemon by a program that died in a transaction are not compared"),
    (719_098, "zeros that a loss of power left are taken for the name of a super-journal"),
    (
        1_005_202,
        "a transaction whose super-journal is gone is lost with the journal that the next one writes over",
    ),
    (1_106_242, "a WAL with salts of zero is captured again at each start"),
    (1_111_663, "the name of an old super-journal keeps a transaction from being rolled back"),
    (1_129_138, "the name that a longer journal has left makes half a transaction a committed one"),
    (1_309_290, "pages whose sync failed are believed where the journal's transaction stands"),
    (316_369, "the WAL's old header comes back, and its transactions are captured again"),
];

/// The same of seeds whose faults are aimed.
const AIMED_REGRESSIONS: [(u64, &str); 2] = [
    (252, "a segment of the log that retention removed goes before an older one"),
    (578, "the same, by another way"),
];

#[test]
fn seeds_that_failed_once_pass() {
    let mut broken = Vec::new();
    let machine = REGRESSIONS.into_iter().map(|(seed, found)| (Runs::Machine, seed, found));
    let aimed = AIMED_REGRESSIONS.into_iter().map(|(seed, found)| (Runs::Aimed, seed, found));
    for (runs, seed, found) in machine.chain(aimed) {
        let report = run(runs.plan(seed), false);
        if let Some(violation) = report.violations.first() {
            broken.push(format!("{found}: {violation}\n  {}", replay_command(runs, &report)));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn sqlite_alone_keeps_its_promises_on_the_simulated_disk() {
    run_seeds(Runs::WithoutMachine, 200);
}

#[test]
fn machine_keeps_every_promise_through_crashes_and_disk_errors() {
    let probes = run_seeds(Runs::Machine, 300);
    for probe in SOMETIMES {
        assert!(probes.contains_key(probe), "never happened: {probe}");
    }
}

#[test]
fn machine_keeps_every_promise_where_faults_are_aimed() {
    let probes = run_seeds(Runs::Aimed, 150);
    assert!(probes.contains_key("segment of the log removed"), "retention never had anything to do");
}

#[test]
fn same_seed_gives_the_same_trace() {
    for seed in 1..=6 {
        let first = run(Plan::of_seed(seed, UnderTest::Machine), false);
        let second = run(Plan::of_seed(seed, UnderTest::Machine), false);
        assert_eq!((first.hash(), first.events()), (second.hash(), second.events()), "seed {seed}");
    }
}

#[test]
#[ignore = "replays one seed, given as SIM_SEED"]
fn replay() {
    println!("{}", run(Plan::of_seed(number("SIM_SEED", BASE), UnderTest::Machine), true));
}

#[test]
#[ignore = "replays one seed, given as SIM_SEED"]
fn replay_aimed() {
    println!("{}", run(Plan::aimed(number("SIM_SEED", BASE)), true));
}

#[test]
#[ignore = "replays one seed, given as SIM_SEED"]
fn replay_without_machine() {
    println!("{}", run(Plan::of_seed(number("SIM_SEED", BASE), UnderTest::Nothing), true));
}
