//! The litefs daemon and its command line. This crate composes: what happens to databases is decided in `litefs-core`,
//! the kernel is served by `litefs-fuse`, and other nodes by `litefs-net`.

#![forbid(unsafe_code)]

mod cli;
mod config;
mod daemon;
mod demo;
mod error_text;
mod exec;
mod host;
mod logging;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(std::env::args_os().collect())
}
