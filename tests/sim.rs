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

/// The command that runs the plan of `report` again and prints everything that happens.
fn replay_command(report: &Report) -> String {
    let test = match report.plan.under_test {
        UnderTest::Machine => "replay",
        UnderTest::Nothing => "replay_without_machine",
    };
    format!("SIM_SEED={} cargo test --features sim --test sim {test} -- --exact --ignored --nocapture", report.plan.seed)
}

/// Runs `count` seeds and fails with everything there is to know about those that break a promise.
fn run_seeds(under_test: UnderTest, count: u64) -> BTreeMap<&'static str, u64> {
    let base = number("SIM_SEED", BASE);
    let count = number("SIM_SEEDS", count);
    println!("seeds {base} to {}", base + count - 1);
    let mut probes = BTreeMap::new();
    let mut broken = Vec::new();
    for seed in base..base + count {
        let report = run(Plan::of_seed(seed, under_test), false);
        for (probe, times) in &report.probes {
            *probes.entry(*probe).or_default() += times;
        }
        if !report.violations.is_empty() {
            let latest: Vec<&str> = report.latest().collect();
            println!("{}\n{report}\nreplay it with: {}\n", latest.join("\n"), replay_command(&report));
            broken.push(format!("{}: {}", replay_command(&report), report.violations[0]));
        }
    }
    println!("{probes:#?}");
    assert!(broken.is_empty(), "{} of {count} seeds break a promise:\n{}", broken.len(), broken.join("\n"));
    probes
}

#[test]
fn sqlite_alone_keeps_its_promises_on_the_simulated_disk() {
    run_seeds(UnderTest::Nothing, 60);
}

#[test]
fn machine_keeps_every_promise_through_crashes_and_disk_errors() {
    run_seeds(UnderTest::Machine, 60);
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
fn replay_without_machine() {
    println!("{}", run(Plan::of_seed(number("SIM_SEED", BASE), UnderTest::Nothing), true));
}
