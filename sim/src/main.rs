//! Runs the simulator: many seeds, one seed again with everything that happens, the smallest plan that still fails, and a
//! page to look at.

mod cli;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
