use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, ConfigError, ConfigSource, Environment, Loaded, Overrides};
use crate::daemon::{self, MountOptions};
use crate::exec::CommandLine;
use crate::logging;

use super::{UsageError, version};

/// Mounts the file system and runs a node
///
/// Without --config, the configuration is the first that exists of ./litefs.yml, $HOME/litefs.yml and /etc/litefs.yml.
/// With both --dir and MOUNTPOINT none is looked for: the node is then a single primary.
#[derive(Debug, clap::Args)]
pub(super) struct Mount {
    /// Read the configuration from this file
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,

    /// Keep the data in this directory, whatever the configuration says
    #[arg(long, value_name = "DATA")]
    dir: Option<PathBuf>,

    /// Mount here, whatever the configuration says
    #[arg(value_name = "MOUNTPOINT")]
    mount_point: Option<PathBuf>,

    #[arg(hide = true)]
    stray: Vec<OsString>,

    /// Take `$` in the configuration as it is
    #[arg(long)]
    no_expand_env: bool,

    /// Leave the mount in place at the end
    #[arg(long)]
    skip_unmount: bool,

    /// Log every operation of the file system
    #[arg(long = "fuse.debug")]
    fuse_debug: bool,

    /// Log messages for debugging
    #[arg(long)]
    debug: bool,

    /// Accepted for LiteFS's sake: there is no trace log
    #[arg(long)]
    tracing: bool,

    /// Run this program once the node is ready, in place of `exec` in the configuration
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Mount {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        if !self.stray.is_empty() {
            return Err(UsageError::TooManyArguments.into());
        }
        let source = match self.config {
            Some(path) => ConfigSource::Path(path),
            None if self.dir.is_some() && self.mount_point.is_some() => ConfigSource::None,
            None => ConfigSource::Search,
        };
        let mut warnings = Vec::new();
        let exec = exec_override(&self.command, &mut warnings)?;
        let overrides = Overrides {
            data_dir: self.dir,
            fuse_dir: self.mount_point,
            exec,
            debug: self.debug,
            fuse_debug: self.fuse_debug,
        };
        let loaded = config::load(&source, !self.no_expand_env, overrides, &Environment::of_process())?;
        let Loaded { config, found, warnings: from_file } = loaded;
        if let Some(path) = found {
            println!("config file read from {}", path.display());
        }
        println!("{}", version::text());

        logging::init(&config.log)?;
        if self.tracing {
            warnings.push("-tracing is given, but there is no trace log; use -debug".to_owned());
        }
        for warning in warnings.iter().chain(&from_file) {
            tracing::warn!("{warning}");
        }
        daemon::run(config, MountOptions { skip_unmount: self.skip_unmount })
    }
}

fn exec_override(
    command: &[OsString],
    warnings: &mut Vec<String>,
) -> Result<Option<CommandLine>, ConfigError> {
    if command.is_empty() {
        return Ok(None);
    }
    let (command, ignored) =
        CommandLine::from_arguments(command).map_err(|source| ConfigError::Exec { index: 0, source })?;
    if let Some(ignored) = ignored {
        warnings.push(config::ignored_by_exec(0, ignored));
    }
    Ok(Some(command))
}
