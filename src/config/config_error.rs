use std::io;
use std::path::PathBuf;

use litefs_config_file::SyntaxError;
use litefs_core::InvalidDatabaseName;
use litefs_net::InvalidUrl;

use crate::exec::InvalidCommandLine;

/// Why there is no configuration to start with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(
        "config file not found: none of {searched} exists; name one with -config PATH, \
         or start a single primary without one: litefs mount --dir DATA MOUNTPOINT",
        searched = list(searched)
    )]
    NotFound { searched: Vec<PathBuf> },
    #[error("cannot read config file {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("EOF: config file {} is empty", path.display())]
    Empty { path: PathBuf },
    #[error("config file {}, {error}", path.display())]
    Syntax { path: PathBuf, error: SyntaxError },
    #[error("fuse directory required: set fuse.dir, or name the mount point on the command line")]
    NoFuseDirectory,
    #[error("data directory required: set data.dir, or give --dir DATA on the command line")]
    NoDataDirectory,
    #[error(
        "fuse directory and data directory cannot be the same path: both are {}; \
         keep the data outside of the mount", path.display()
    )]
    SameDirectory { path: PathBuf },
    #[error(
        "data directory {} lies inside the fuse directory {}: the mount would hide its own data; \
         keep the data outside of the mount", data.display(), fuse.display()
    )]
    DataInsideMount { data: PathBuf, fuse: PathBuf },
    #[error("cannot resolve path {}", path.display())]
    Path { path: PathBuf, source: io::Error },
    #[error(
        "invalid lease type, must be either 'consul' or 'static', got: '{found}'; \
         set lease.type, for example to static for a primary that never moves"
    )]
    LeaseType { found: String },
    #[error(
        "cannot specify a database replication filter on candidate nodes: \
         remove lease.databases, or set lease.candidate to false"
    )]
    FilterOnCandidate,
    #[error(
        "lease.advertise-url required: a static replica (lease.candidate: false) needs the URL of the primary"
    )]
    NoPrimaryUrl,
    #[error("lease.advertise-url")]
    AdvertiseUrl { source: InvalidUrl },
    #[error("lease.databases[{index}]")]
    DatabaseFilter { index: usize, source: InvalidDatabaseName },
    #[error("{key} must not be negative")]
    Negative { key: &'static str },
    #[error("cannot parse exec command[{index}]")]
    Exec { index: usize, source: InvalidCommandLine },
    #[error("{key} is set to {value:?}, but {feature} is not supported yet: {advice}")]
    Unsupported { key: &'static str, value: String, feature: &'static str, advice: &'static str },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
