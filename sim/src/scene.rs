use std::collections::BTreeMap;

use crate::plan::{Plan, UnderTest};
use crate::trace::{Keep, TraceHash};
use crate::{cluster, run};

/// What a seed is a seed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scene {
    /// Several machines with a network between them.
    Cluster,
    /// One machine that nobody follows.
    Machine,
    /// The same with faults that are aimed at steps.
    Aimed,
    /// SQLite on the simulated disk, with nothing of litefs in between.
    Sqlite,
}

/// What a run came to, whatever the scene.
#[derive(Debug)]
pub struct Ended {
    /// Everything that was drawn before it began.
    pub plan: String,
    /// The promises that were broken; none if all is well.
    pub violations: Vec<String>,
    /// How often each thing happened that must happen sometimes.
    pub probes: BTreeMap<&'static str, u64>,
    /// The hash of everything that happened.
    pub hash: TraceHash,
    /// The number of things that happened.
    pub events: u64,
}

impl Scene {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cluster, Self::Machine, Self::Aimed, Self::Sqlite];

    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Machine => "machine",
            Self::Aimed => "aimed",
            Self::Sqlite => "sqlite",
        }
    }

    /// Runs a seed.
    ///
    /// # Panics
    /// If the simulator itself is broken.
    pub fn run(self, seed: u64, keep: Keep) -> Ended {
        match self {
            Self::Cluster => cluster::run(cluster::plan::Plan::of_seed(seed), keep).into(),
            Self::Machine => run::run(Plan::of_seed(seed, UnderTest::Machine), keep).into(),
            Self::Aimed => run::run(Plan::aimed(seed), keep).into(),
            Self::Sqlite => run::run(Plan::of_seed(seed, UnderTest::Nothing), keep).into(),
        }
    }

    /// The plan of a seed.
    pub fn plan(self, seed: u64) -> String {
        match self {
            Self::Cluster => cluster::plan::Plan::of_seed(seed).to_string(),
            Self::Machine => format!("{:#?}", Plan::of_seed(seed, UnderTest::Machine)),
            Self::Aimed => format!("{:#?}", Plan::aimed(seed)),
            Self::Sqlite => format!("{:#?}", Plan::of_seed(seed, UnderTest::Nothing)),
        }
    }

    /// The command that runs a seed again and prints what happens.
    pub fn replay_command(self, seed: u64) -> String {
        let of = match self {
            Self::Cluster => String::new(),
            Self::Machine | Self::Aimed | Self::Sqlite => format!("--of {} ", self.name()),
        };
        format!("cargo run --release -p litefs-sim --features sim -- replay {of}{seed}")
    }

    /// What must happen at least once in a few hundred seeds. What is missing here is not missed when it never happens.
    pub fn sometimes(self) -> &'static [&'static str] {
        match self {
            Self::Cluster => &CLUSTER,
            Self::Machine => &MACHINE,
            Self::Aimed => &["segment of the log removed"],
            Self::Sqlite => &[],
        }
    }
}

impl From<cluster::Report> for Ended {
    fn from(report: cluster::Report) -> Self {
        let (hash, events, plan) = (report.hash(), report.event_count(), report.plan.to_string());
        Self { plan, violations: report.violations, probes: report.probes, hash, events }
    }
}

impl From<run::Report> for Ended {
    fn from(report: run::Report) -> Self {
        let (hash, events, plan) = (report.hash(), report.events(), format!("{:#?}", report.plan));
        Self { plan, violations: report.violations, probes: report.probes, hash, events }
    }
}

const CLUSTER: [&str; 45] = [
    "acknowledged transaction lost with its primary",
    "caught up",
    "database attached",
    "database kept aside",
    "database not whole in the end",
    "database removed",
    "database removed under a program",
    "disk error",
    "frozen in a statement",
    "history replaced",
    "history replaced under a program",
    "journal mode changed",
    "kill",
    "lease reply lost",
    "locking mode changed",
    "long reader",
    "loss of power",
    "lying sync",
    "operator restarted a stopped database",
    "operator was told",
    "page size changed",
    "pause in a statement",
    "primary",
    "program started again",
    "ready",
    "recovery captured from the WAL",
    "recovery redid",
    "recovery rolled back",
    "recovery trimmed the log",
    "restart in order",
    "role not taken",
    "savepoints in savepoints",
    "schema changed",
    "snapshot over other data",
    "snapshot sent",
    "temporary table",
    "transaction applied",
    "transaction committed",
    "transaction in doubt published",
    "transaction over two databases",
    "transaction that nobody was told of",
    "transaction waits for a program",
    "transaction waits for space",
    "transaction without a journal",
    "vacuum",
];

const MACHINE: [&str; 17] = [
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replay_command_names_the_scene_where_it_must() {
        let command = "cargo run --release -p litefs-sim --features sim -- replay";
        assert_eq!(Scene::Cluster.replay_command(7), format!("{command} 7"));
        assert_eq!(Scene::Machine.replay_command(7), format!("{command} --of machine 7"));
    }

    #[test]
    fn what_must_happen_is_counted_somewhere() {
        let mut sources = String::new();
        for directory in ["", "cluster", "cluster/checks", "cluster/workload"] {
            for file in std::fs::read_dir(format!("{}/src/{directory}", env!("CARGO_MANIFEST_DIR"))).unwrap()
            {
                let path = file.unwrap().path();
                if path.is_file() && !path.ends_with("scene.rs") {
                    sources += &std::fs::read_to_string(path).unwrap();
                }
            }
        }
        for probe in Scene::ALL.iter().flat_map(|scene| scene.sometimes()) {
            assert!(sources.contains(&format!("\"{probe}\"")), "nothing in sim/src counts {probe:?}");
        }
    }

    /// Whoever adds a probe to the cluster adds it to the list.
    #[test]
    fn everything_that_is_counted_in_the_cluster_is_missed_when_it_never_happens() {
        let directory = |name| format!("{}/src/cluster/{name}", env!("CARGO_MANIFEST_DIR"));
        let files = ["", "checks", "workload"].map(|name| std::fs::read_dir(directory(name)).unwrap());
        for path in files.into_iter().flatten().map(|file| file.unwrap().path()).filter(|path| path.is_file())
        {
            let source = std::fs::read_to_string(path).unwrap();
            for rest in source.split("probe(\"").skip(1) {
                let probe = rest.split('"').next().unwrap();
                assert!(CLUSTER.contains(&probe), "add the probe {probe:?} to CLUSTER in sim/src/scene.rs");
            }
        }
    }
}
