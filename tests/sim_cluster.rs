//! Whole clusters of simulated machines, with real SQLite on each, while things go wrong.

use litefs_sim::cluster::plan::Plan;
use litefs_sim::cluster::run;
use litefs_sim::{Keep, Scene};

/// Seeds that bring together most of what can go wrong, and are run every time.
const KEPT: [u64; 20] = [1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 15, 16, 17, 19, 20, 21, 22, 23, 24];

#[test]
fn clusters_keep_every_promise() {
    let mut broken = Vec::new();
    for seed in KEPT {
        let report = run(Plan::of_seed(seed), Keep::Latest);
        if let Some(violation) = report.violations.first() {
            broken.push(format!("{violation}\n  {}", Scene::Cluster.replay_command(seed)));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn same_seed_gives_the_same_trace() {
    for seed in [3, 5] {
        let first = run(Plan::of_seed(seed), Keep::Latest);
        let second = run(Plan::of_seed(seed), Keep::Latest);
        assert_eq!((first.hash(), first.event_count()), (second.hash(), second.event_count()), "seed {seed}");
    }
}
