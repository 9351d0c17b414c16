use std::process::ExitCode;

use crate::config::Config;

/// What the command line says to the daemon beside the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MountOptions {
    /// Whether the mount is left in place at the end.
    pub(crate) skip_unmount: bool,
}

/// Runs a node until it is told to stop.
pub(crate) fn run(config: Config, options: MountOptions) -> anyhow::Result<ExitCode> {
    tracing::debug!(?config, skip_unmount = options.skip_unmount, "valid configuration");
    anyhow::bail!(
        "the daemon is being assembled: the configuration is valid, but there is nothing to run yet"
    )
}
