//! The command line.

mod arguments;
mod filter;
mod job;
mod ledger;
mod page;
mod paint;
mod plan_file;
mod pool;
mod replay;
mod run;
mod shrink;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Replay(options) => replay::replay(options),
        Command::Shrink(options) => shrink::shrink(&options),
        Command::View(options) => page::view(&options),
        Command::Worker => worker::work(),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
