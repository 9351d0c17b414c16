//! The litefs daemon and its command line. This crate composes: what happens to databases is decided in `litefs-core`,
//! the kernel is served by `litefs-fuse`, and other nodes by `litefs-net`.

#![forbid(unsafe_code)]

mod cli;
#[cfg_attr(not(test), expect(dead_code, reason = "the daemon that reads the settings is being assembled"))]
mod config;
mod daemon;
#[cfg_attr(not(test), expect(dead_code, reason = "the daemon that runs the programs is being assembled"))]
mod exec;
mod logging;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(std::env::args_os().collect())
}
