use std::path::{Path, PathBuf};
use std::time::Duration;

use litefs_config_file::{
    BackupSection, ByteSize, ConfigFile, DataSection, ExecSpec, FuseSection, HttpSection, LeaseSection,
    ListenAddress, LogSection, SignedDuration,
};
use litefs_core::DatabaseName;
use litefs_net::BaseUrl;

use super::settings::{Config, DataConfig, FuseConfig, HttpConfig, LeaseConfig, LogConfig, StaticRole};
use super::{ConfigError, Environment};
use crate::exec::{CommandLine, ExecEntry};

const DATA_DIR: &str = "/var/lib/litefs";
const FUSE_DIR: &str = "/litefs";
const API_PORT: u16 = 20202;
const RETENTION: Duration = Duration::from_secs(600);
const RETENTION_MONITOR_INTERVAL: Duration = Duration::from_secs(60);
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// What the command line says in place of the file.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    /// In place of `data.dir`.
    pub(crate) data_dir: Option<PathBuf>,
    /// In place of `fuse.dir`.
    pub(crate) fuse_dir: Option<PathBuf>,
    /// In place of the whole `exec`.
    pub(crate) exec: Option<CommandLine>,
    /// Switches `log.debug` on.
    pub(crate) debug: bool,
    /// Switches `fuse.debug` on.
    pub(crate) fuse_debug: bool,
}

/// What a file would have to say for one node that is always the primary.
pub(crate) fn single_primary() -> ConfigFile {
    let lease = LeaseSection { service: Some("static".to_owned()), ..LeaseSection::default() };
    ConfigFile { lease: Some(lease), ..ConfigFile::default() }
}

/// Checks what a file says and completes it with the defaults.
pub(crate) fn resolve(
    file: ConfigFile,
    overrides: Overrides,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Result<Config, ConfigError> {
    let exec = match overrides.exec {
        Some(command) => vec![ExecEntry { command, if_candidate: false }],
        None => resolve_exec(file.exec, warnings)?,
    };
    let fuse = resolve_fuse(file.fuse.unwrap_or_default(), overrides.fuse_dir, overrides.fuse_debug)?;
    let data = resolve_data(file.data.unwrap_or_default(), overrides.data_dir)?;
    check_directories(&fuse.dir, &data.dir)?;
    let http = resolve_http(file.http.unwrap_or_default())?;
    let lease = resolve_lease(file.lease.unwrap_or_default(), http.addr.port(), environment)?;
    let log = resolve_log(file.log.unwrap_or_default(), overrides.debug);

    refuse_backup(&file.backup.unwrap_or_default(), environment)?;
    if let Some(target) = file.proxy.and_then(|proxy| proxy.target).filter(|target| !target.is_empty()) {
        return Err(ConfigError::Unsupported {
            key: "proxy.target",
            value: target,
            feature: "the HTTP proxy",
            advice: "remove the proxy section and let clients reach the application directly",
        });
    }
    if let Some(tracing) = file.tracing
        && let Some(path) = tracing.path.filter(|path| !path.is_empty())
        && tracing.enabled != Some(false)
    {
        warnings.push(format!("tracing.path is set to {path:?}, but there is no trace log; use log.debug"));
    }
    Ok(Config {
        data,
        exec,
        exit_on_error: file.exit_on_error.unwrap_or(true),
        fuse,
        http,
        lease,
        log,
        skip_sync: file.skip_sync.unwrap_or(false),
        strict_verify: file.strict_verify.unwrap_or(false),
    })
}

fn resolve_exec(spec: Option<ExecSpec>, warnings: &mut Vec<String>) -> Result<Vec<ExecEntry>, ConfigError> {
    let Some(ExecSpec(entries)) = spec else { return Ok(Vec::new()) };
    let mut resolved = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let text = entry.cmd.unwrap_or_default();
        let (command, ignored) =
            CommandLine::parse(&text).map_err(|source| ConfigError::Exec { index, source })?;
        if let Some(ignored) = ignored {
            warnings.push(ignored_by_exec(index, ignored));
        }
        resolved.push(ExecEntry { command, if_candidate: entry.if_candidate.unwrap_or(false) });
    }
    Ok(resolved)
}

/// Warns that the rest of a command is not executed.
pub(crate) fn ignored_by_exec(index: usize, ignored: &str) -> String {
    format!(
        "exec command[{index}]: {ignored:?} is ignored, there is no shell; write sh -c '…' if you mean one"
    )
}

fn resolve_fuse(section: FuseSection, dir: Option<PathBuf>, debug: bool) -> Result<FuseConfig, ConfigError> {
    let dir = dir.or(section.dir).unwrap_or_else(|| FUSE_DIR.into());
    if dir.as_os_str().is_empty() {
        return Err(ConfigError::NoFuseDirectory);
    }
    Ok(FuseConfig {
        allow_other: section.allow_other.unwrap_or(false),
        debug: debug || section.debug.unwrap_or(false),
        dir: absolute(dir)?,
        other_files: section.other_files.unwrap_or_default(),
    })
}

fn resolve_data(section: DataSection, dir: Option<PathBuf>) -> Result<DataConfig, ConfigError> {
    let dir = dir.or(section.dir).unwrap_or_else(|| DATA_DIR.into());
    if dir.as_os_str().is_empty() {
        return Err(ConfigError::NoDataDirectory);
    }
    Ok(DataConfig {
        compress: section.compress.unwrap_or(true),
        dir: absolute(dir)?,
        retention: section.retention.map_or(Some(RETENTION), SignedDuration::positive),
        retention_monitor_interval: section
            .retention_monitor_interval
            .map_or(Some(RETENTION_MONITOR_INTERVAL), SignedDuration::positive),
        retention_size: section.retention_size.map(ByteSize::bytes).filter(|bytes| *bytes > 0),
    })
}

fn absolute(path: PathBuf) -> Result<PathBuf, ConfigError> {
    std::path::absolute(&path).map_err(|source| ConfigError::Path { path, source })
}

fn check_directories(fuse: &Path, data: &Path) -> Result<(), ConfigError> {
    if fuse == data {
        return Err(ConfigError::SameDirectory { path: fuse.to_owned() });
    }
    if data.starts_with(fuse) {
        return Err(ConfigError::DataInsideMount { data: data.to_owned(), fuse: fuse.to_owned() });
    }
    Ok(())
}

fn resolve_http(section: HttpSection) -> Result<HttpConfig, ConfigError> {
    let snapshot_timeout =
        section.snapshot_timeout.map(|timeout| not_negative("http.snapshot-timeout", timeout)).transpose()?;
    Ok(HttpConfig {
        addr: section.addr.unwrap_or(ListenAddress::every(API_PORT)),
        snapshot_timeout: snapshot_timeout.filter(|timeout| !timeout.is_zero()),
    })
}

fn resolve_lease(
    section: LeaseSection,
    api_port: u16,
    environment: &Environment,
) -> Result<LeaseConfig, ConfigError> {
    let service = section.service.unwrap_or_default();
    if !matches!(service.as_str(), "consul" | "static") {
        return Err(ConfigError::LeaseType { found: service });
    }
    let candidate = section.candidate.unwrap_or(true);
    let filter = section.databases.unwrap_or_default();
    if candidate && !filter.is_empty() {
        return Err(ConfigError::FilterOnCandidate);
    }
    let databases = filter
        .iter()
        .enumerate()
        .map(|(index, name)| {
            DatabaseName::new(name).map_err(|source| ConfigError::DatabaseFilter { index, source })
        })
        .collect::<Result<_, _>>()?;
    let advertise_url = section
        .advertise_url
        .filter(|url| !url.is_empty())
        .map(|url| url.parse::<BaseUrl>().map_err(|source| ConfigError::AdvertiseUrl { source }))
        .transpose()?;
    let reconnect_delay = section
        .reconnect_delay
        .map_or(Ok(RECONNECT_DELAY), |delay| not_negative("lease.reconnect-delay", delay))?;
    if service == "consul" {
        return Err(ConfigError::Unsupported {
            key: "lease.type",
            value: service,
            feature: "a lease kept by Consul",
            advice: "set it to static, with candidate: true on the one node that is to be primary",
        });
    }

    let hostname = section.hostname.filter(|hostname| !hostname.is_empty());
    let role = match (candidate, advertise_url) {
        (true, Some(url)) => StaticRole::Primary {
            hostname: hostname.unwrap_or_else(|| environment.hostname().to_owned()),
            advertise_url: Some(url),
        },
        (true, None) => {
            let hostname = hostname.unwrap_or_else(|| environment.hostname().to_owned());
            let advertise_url = (api_port != 0)
                .then(|| format!("http://{hostname}:{api_port}").parse())
                .transpose()
                .map_err(|source| ConfigError::AdvertiseUrl { source })?;
            StaticRole::Primary { hostname, advertise_url }
        }
        (false, Some(primary_url)) => StaticRole::Replica {
            primary_hostname: hostname.unwrap_or_else(|| primary_url.host().to_owned()),
            primary_url,
            databases,
        },
        (false, None) => return Err(ConfigError::NoPrimaryUrl),
    };
    Ok(LeaseConfig { role, reconnect_delay })
}

fn resolve_log(section: LogSection, debug: bool) -> LogConfig {
    LogConfig {
        debug: debug || section.debug.unwrap_or(false),
        format: section.format.unwrap_or_default(),
        timestamp: section.timestamp.unwrap_or(false),
    }
}

/// Fails when a backup is asked for: to go on without one would leave its owner believing that there is one.
fn refuse_backup(section: &BackupSection, environment: &Environment) -> Result<(), ConfigError> {
    if let Some(service) = section.service.as_ref().filter(|service| !service.is_empty()) {
        return Err(ConfigError::Unsupported {
            key: "backup.type",
            value: service.clone(),
            feature: "a backup",
            advice: "remove the backup section, and export databases on a schedule instead",
        });
    }
    // The token alone switches a backup on in LiteFS. Its value stays out of the message.
    if environment.variable("LITEFS_CLOUD_TOKEN").is_some_and(|token| !token.trim().is_empty()) {
        return Err(ConfigError::Unsupported {
            key: "LITEFS_CLOUD_TOKEN",
            value: "…".to_owned(),
            feature: "a backup to LiteFS Cloud",
            advice: "unset the variable, and export databases on a schedule instead",
        });
    }
    Ok(())
}

fn not_negative(key: &'static str, duration: SignedDuration) -> Result<Duration, ConfigError> {
    duration.not_negative().ok_or(ConfigError::Negative { key })
}

#[cfg(test)]
mod tests;
