//! Runs simulated clusters: `run` many seeds, `replay` one.

use clap::{Parser, Subcommand};
use litefs_sim::Keep;
use litefs_sim::cluster::{plan::Plan, run};

/// Runs clusters of litefs under real SQLite in a world that fails.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs many seeds.
    Run {
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// How many seeds.
        #[arg(long, default_value_t = 60)]
        seeds: u64,
    },
    /// Runs one seed again and prints everything that happens.
    Replay {
        /// The seed.
        seed: u64,
    },
}

fn main() {
    match Arguments::parse().command {
        Command::Run { from, seeds } => {
            let mut broken = 0;
            let mut probes = std::collections::BTreeMap::new();
            for seed in from..from + seeds {
                let report = run(Plan::of_seed(seed), Keep::Latest);
                println!("{seed} {} {}", report.hash(), report.event_count());
                for (name, times) in &report.probes {
                    *probes.entry(*name).or_insert(0) += times;
                }
                for violation in &report.violations {
                    println!("  violation: {violation}");
                }
                broken += u64::from(!report.violations.is_empty());
            }
            println!("{probes:#?}");
            println!("{broken} of {seeds} seeds break a promise");
        }
        Command::Replay { seed } => println!("{}", run(Plan::of_seed(seed), Keep::LatestAloud)),
    }
}
