//! The command line: one file per command.
//!
//! Exit codes: 0 for success, 1 for what failed while running, 2 for a command line or configuration that cannot be
//! used, and else the code of the program that was run.

mod client;
mod demo;
mod export;
mod go_flags;
mod halt_lock;
mod import;
mod mount;
mod progress;
mod run;
mod status;
mod verify;
mod version;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::ConfigError;
use crate::error_text::error_text;
use crate::exec::InvalidCommandLine;

/// Replicates SQLite databases, transaction by transaction.
///
/// Applications open ordinary SQLite files in the mount; each committed transaction is sent to the other nodes.
/// Long options may be written with one dash or two.
#[derive(Debug, Parser)]
#[command(name = "litefs", max_term_width = 100, args_override_self = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Mount(mount::Mount),
    Run(run::Run),
    Import(import::Import),
    Export(export::Export),
    Status(status::Status),
    Verify(verify::Verify),
    Version(version::Version),
}

/// A command line that is well-formed, but says something that cannot be done.
#[derive(Debug, thiserror::Error)]
enum UsageError {
    #[error("too many arguments, specify a '--' to specify an exec command")]
    TooManyArguments,
    #[error("no command, specify one behind a '--'")]
    NoCommand,
    #[error("cannot specify both -promote & -with-halt-lock-on")]
    PromoteAndHalt,
    #[error("cannot parse exec command")]
    Command(#[from] InvalidCommandLine),
}

const EXIT_RUNTIME: u8 = 1;
const EXIT_USAGE: u8 = 2;

/// Runs the command that the arguments name, the program's own name first.
pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    match parse(arguments) {
        Ok(arguments) => match execute(arguments.command) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("ERROR: {}", error_text(&error));
                let usage = error.is::<ConfigError>() || error.is::<UsageError>();
                ExitCode::from(if usage { EXIT_USAGE } else { EXIT_RUNTIME })
            }
        },
        Err(error) => explain(&error),
    }
}

fn parse(arguments: Vec<OsString>) -> Result<Arguments, clap::Error> {
    let mut command = Arguments::command();
    // Without this the flags that clap adds itself, such as --help, are not known yet.
    command.build();
    let arguments = go_flags::normalize(&command, arguments)
        .map_err(|error| command.error(ErrorKind::InvalidValue, error))?;
    let matches = command.try_get_matches_from_mut(arguments)?;
    Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(command) => command.execute(),
        Command::Mount(command) => command.execute(),
        Command::Run(command) => command.execute(),
        Command::Import(command) => command.execute(),
        Command::Export(command) => command.execute(),
        Command::Status(command) => command.execute(),
        Command::Verify(command) => command.execute(),
        Command::Version(command) => command.execute(),
    }
}

/// Shows the help that was asked for, or what is wrong with the command line.
fn explain(error: &clap::Error) -> ExitCode {
    let text = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        // No command at all: the help goes to standard output, and yet nothing was done.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            print!("{text}");
            ExitCode::from(EXIT_USAGE)
        }
        _ => {
            let text = text.to_string();
            eprint!("ERROR: {}", text.strip_prefix("error: ").unwrap_or(&text));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// The directory that a file is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }
}
