//! The same SQLite work on the bare disk and in a mount, beside each other, and what only a cluster can do.
//!
//! A report, not a test: a missed target is printed and nothing more. Without `--bench`, as `cargo test --benches` runs
//! it, everything is done once in miniature, and then a workload that cannot be run at all is a failure.

mod arguments;
mod bench;
mod data;
mod node;
mod outcome;
mod reader;
mod report;
mod sample;
mod workloads;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use bench::Bench;
use report::Report;
use workloads::WORKLOADS;

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(path) = &arguments.reader {
        reader::run(path)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.list {
        for workload in WORKLOADS {
            println!("{:12} {}", workload.name, workload.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let selected = arguments.selected()?;
    let bench = Bench::new(&arguments)?;
    let mut report = Report::new(&bench);
    let mut failed = false;
    for workload in selected {
        eprintln!("{}: {}", workload.name, workload.about);
        match (workload.run)(&bench) {
            Ok(outcomes) => report.add(workload.name, outcomes),
            Err(error) => {
                eprintln!("{}: cannot be measured: {error:#}", workload.name);
                failed = true;
            }
        }
    }
    if arguments.json {
        println!("{}", report.json()?);
    } else {
        println!("{report}");
    }
    Ok(if failed && arguments.is_smoke() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
