//! Programs that run beside the node: what `exec` of the configuration and `--` of the command line start.

mod command_line;
mod exec_entry;
mod exit;
mod supervisor;

pub(crate) use command_line::{CommandLine, InvalidCommandLine};
pub(crate) use exec_entry::ExecEntry;
pub(crate) use exit::MainExit;
pub(crate) use supervisor::Supervisor;
