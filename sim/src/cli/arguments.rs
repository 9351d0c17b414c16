use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use litefs_sim::Scene;

/// Runs litefs under real SQLite in a world that fails. One seed is one run, to the last write.
#[derive(Debug, Parser)]
#[command(name = "litefs-sim", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs many seeds, and says which of them break a promise.
    Run(RunOptions),
    /// Runs one seed again and prints what happens.
    Replay(ReplayOptions),
    /// Looks for the simplest plan that breaks the same promise as a seed.
    Shrink(ShrinkOptions),
    /// Writes a page that shows a run, for a browser.
    View(ViewOptions),
    /// Runs what it reads from its input, and says on its output what became of it.
    #[command(hide = true)]
    Worker,
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// The first seed. Without it a random one, which is printed.
    #[arg(long)]
    pub(crate) from: Option<u64>,
    /// How many seeds. Without it, and without --time, 100.
    #[arg(long)]
    pub(crate) seeds: Option<u64>,
    /// For how long, such as 10m.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) time: Option<Duration>,
    /// How many run at once, each in a process of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: u16,
    /// How long a seed may take until it counts as hanging.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) limit: Duration,
    #[command(flatten)]
    pub(crate) scene: SceneOption,
}

#[derive(Debug, Args)]
pub(crate) struct SceneOption {
    /// What the seeds are seeds of: a cluster, one machine that nobody follows, the same with aimed faults, or SQLite alone on the simulated disk.
    #[arg(
        long,
        default_value = "cluster",
        value_parser = PossibleValuesParser::new(Scene::ALL.map(Scene::name)).map(|name| {
            Scene::ALL.into_iter().find(|scene| scene.name() == name).unwrap_or(Scene::Cluster)
        })
    )]
    pub(crate) of: Scene,
}

/// What to run.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Chosen {
    /// The seed.
    pub(crate) seed: Option<u64>,
    /// A file with a plan, as `shrink` writes it.
    #[arg(long)]
    pub(crate) plan: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayOptions {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Prints also every disk operation and what goes on inside of the daemons.
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) scene: SceneOption,
}

#[derive(Debug, Args)]
pub(crate) struct ShrinkOptions {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Where the plan goes. Without it, to `shrunk-SEED.json`.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// How many sets of random numbers each plan is tried with.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) attempts: u64,
    /// How long a run may take until it counts as hanging.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) limit: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct ViewOptions {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Where the page goes. Without it, to `sim-SEED.html`.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn either_a_seed_or_a_plan() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' ')).is_ok();
        assert!(parse("litefs-sim replay 5"));
        assert!(parse("litefs-sim replay --of machine --all 5"));
        assert!(parse("litefs-sim view --plan p.json --out p.html"));
        assert!(!parse("litefs-sim shrink"));
        assert!(!parse("litefs-sim shrink 5 --plan p.json"));
        assert!(!parse("litefs-sim run --of nothing"));
    }
}
