//! Mistakes that are put into the machine on purpose: one that nobody notices is a hole in the simulator.

use litefs_sim::planted::{PLANTED, Planted};
use litefs_sim::run::run;

/// Seeds that must notice a mistake, so that none is noticed by luck.
const CATCHES: usize = 3;

/// The seeds of its budget that notice the mistake, up to [`CATCHES`], and what the first one says.
fn catches(planted: &Planted) -> (Vec<u64>, String) {
    let mut seeds = Vec::new();
    let mut first = String::new();
    for seed in 1..=planted.budget {
        let Some(violation) = run(planted.plan(seed), false).violations.into_iter().next() else { continue };
        let without = run(planted.plan_without(seed), false);
        assert_eq!(without.violations, [""; 0], "seed {seed} of {:?} fails without it", planted.mistake);
        if seeds.is_empty() {
            first = violation;
        }
        seeds.push(seed);
        if seeds.len() == CATCHES {
            break;
        }
    }
    (seeds, first)
}

#[test]
fn every_planted_mistake_is_noticed_by_three_seeds() {
    let mut missed = Vec::new();
    for planted in &PLANTED {
        let (seeds, first) = catches(planted);
        println!("{:?}: {seeds:?} of {}: {first}", planted.mistake, planted.budget);
        if seeds.len() < CATCHES {
            missed.push((planted.mistake, seeds));
        }
    }
    assert!(missed.is_empty(), "not noticed, or by too few seeds: {missed:?}");
}

#[test]
fn each_mistake_is_planted_once() {
    for (at, planted) in PLANTED.iter().enumerate() {
        assert!(PLANTED[..at].iter().all(|before| before.mistake != planted.mistake), "{planted:?}");
    }
}

#[test]
#[ignore = "replays one seed, given as SIM_SEED, with the mistake that SIM_MISTAKE names"]
fn replay() {
    let name = std::env::var("SIM_MISTAKE").unwrap_or_default();
    let seed = std::env::var("SIM_SEED").unwrap_or_default().parse().expect("SIM_SEED is a number");
    let planted = PLANTED.iter().find(|planted| format!("{:?}", planted.mistake) == name);
    println!("{}", run(planted.expect("SIM_MISTAKE is a mistake").plan(seed), true));
}
