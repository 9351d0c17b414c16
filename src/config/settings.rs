use std::path::PathBuf;
use std::time::Duration;

use litefs_config_file::{ListenAddress, LogFormat, OtherFiles};
use litefs_core::DatabaseName;
use litefs_net::BaseUrl;

use crate::exec::ExecEntry;

/// Everything a node is told before it starts. Paths are absolute; the directories need not exist.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where the data is.
    pub(crate) data: DataConfig,
    /// Programs to run once the node is ready, in order.
    pub(crate) exec: Vec<ExecEntry>,
    /// Whether a failed start ends the process, or leaves it up to be looked at.
    pub(crate) exit_on_error: bool,
    /// The mount.
    pub(crate) fuse: FuseConfig,
    /// The server for other nodes and for the command line.
    pub(crate) http: HttpConfig,
    /// Who is primary.
    pub(crate) lease: LeaseConfig,
    /// What is written to standard error.
    pub(crate) log: LogConfig,
    /// Whether programs are started without waiting until the node has caught up with its primary.
    pub(crate) skip_sync: bool,
    /// Whether the checksum of the whole database is computed anew after each transaction.
    pub(crate) strict_verify: bool,
}

/// Where the data is, and how much of its history is kept.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct DataConfig {
    /// Whether pages in the log are compressed.
    pub(crate) compress: bool,
    /// Directory of databases and logs.
    pub(crate) dir: PathBuf,
    /// How long a transaction stays in the log; none keeps it for ever.
    pub(crate) retention: Option<Duration>,
    /// How often the log is looked through for transactions to remove; none is never.
    pub(crate) retention_monitor_interval: Option<Duration>,
    /// How many bytes of log a database may keep; none is no limit.
    pub(crate) retention_size: Option<u64>,
}

/// The mount.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct FuseConfig {
    /// Whether other users than the one who mounts may use the mount.
    pub(crate) allow_other: bool,
    /// Whether every operation is logged.
    pub(crate) debug: bool,
    /// The mount point.
    pub(crate) dir: PathBuf,
    /// What happens to files that belong to no database.
    pub(crate) other_files: OtherFiles,
}

/// The server for other nodes and for the command line.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct HttpConfig {
    /// Where it listens.
    pub(crate) addr: ListenAddress,
    /// How long sending a whole database to a replica may take; none is no limit.
    pub(crate) snapshot_timeout: Option<Duration>,
}

/// Who is primary. It is written down here and never moves.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct LeaseConfig {
    /// What this node is.
    pub(crate) role: StaticRole,
    /// How long a replica waits before it connects again.
    pub(crate) reconnect_delay: Duration,
}

/// What a node is when the primary is written down in the configuration.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum StaticRole {
    /// This node is the primary.
    Primary {
        /// How this node is called.
        hostname: String,
        /// Where others reach it; none until the port is known, when that is left to the system.
        advertise_url: Option<BaseUrl>,
    },
    /// This node follows the primary.
    Replica {
        /// How the primary is called.
        primary_hostname: String,
        /// Where the primary is reached.
        primary_url: BaseUrl,
        /// The databases to replicate; none of them listed is all.
        databases: Vec<DatabaseName>,
    },
}

impl StaticRole {
    /// Whether this node may be primary.
    pub(crate) fn is_candidate(&self) -> bool {
        matches!(self, Self::Primary { .. })
    }
}

/// What is written to standard error.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct LogConfig {
    /// Whether messages for debugging are written too.
    pub(crate) debug: bool,
    /// The shape of a line.
    pub(crate) format: LogFormat,
    /// Whether a line begins with the time.
    pub(crate) timestamp: bool,
}
