//! The command line, as a person or a script sees it.

mod bad_config;
mod fake_node;
mod help;
mod node_commands;
mod run;
mod usage;
mod verify;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

/// The program, with an environment that does not depend on whose machine it runs on.
fn litefs(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_litefs"));
    command.current_dir(directory).env_clear().env("HOME", directory);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs the program to its end in an empty directory.
fn output<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    let directory = tempfile::tempdir().unwrap();
    litefs(directory.path()).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Asserts that the program failed with this exit code and wrote exactly this line to standard error.
#[track_caller]
fn assert_fails(output: &Output, code: i32, line: &str) {
    assert_eq!(stderr(output), format!("{line}\n"));
    assert_eq!(output.status.code(), Some(code));
}
