use std::process::ExitCode;
use std::time::Duration;

use crate::demo;

/// Shows replication at work: three nodes on this machine, in a temporary directory
///
/// Writes through SQLite on a primary, shows the transactions arriving on two replicas, kills a replica and shows it
/// catch up. On a terminal it waits before it ends, so that the mounts can be looked at from another one.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// Write for this long before and after the replica is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

impl Demo {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        demo::run(Duration::from_secs(self.seconds))?;
        Ok(ExitCode::SUCCESS)
    }
}
