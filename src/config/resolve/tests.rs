use super::*;
use crate::config::{LogFormat, OtherFiles};

/// The sample that ships with LiteFS, but for the three sections that are refused.
const SAMPLE: &str = "
fuse:
  dir: \"/litefs\"
  allow-other: false
data:
  dir: \"/var/lib/litefs\"
  compress: true
  retention: \"10m\"
  retention-monitor-interval: \"1m\"
exit-on-error: true
skip-sync: false
exec:
  - cmd: \"rails db:migrate\"
    if-candidate: true
  - cmd: \"rails server -p 3000\"
http:
  addr: \":20202\"
lease:
  type: \"static\"
  advertise-url: \"http://primary:20202\"
  hostname: \"primary\"
  candidate: true
  promote: false
  reconnect-delay: 1s
  demote-delay: 10s
log:
  format: text
  timestamp: false
  debug: false
tracing:
  enabled: true
  path: \"\"
  max-size: 64
  max-count: 8
  compress: true
";

fn resolved(text: &str, overrides: Overrides) -> (Result<Config, ConfigError>, Vec<String>) {
    let mut warnings = Vec::new();
    let file = ConfigFile::parse(text).unwrap();
    let config = resolve(file, overrides, &Environment::for_test(&[]), &mut warnings);
    (config, warnings)
}

#[track_caller]
fn accepted(text: &str) -> Config {
    let (config, warnings) = resolved(text, Overrides::default());
    assert_eq!(warnings, Vec::<String>::new());
    config.unwrap()
}

/// Asserts the message and its causes.
#[track_caller]
fn refused(text: &str, message: &str) {
    let error = resolved(text, Overrides::default()).0.unwrap_err();
    assert_eq!(format!("{:#}", anyhow::Error::from(error)), message, "{text}");
}

#[test]
fn defaults_are_those_of_litefs() {
    let config = accepted("lease:\n  type: static\n");
    assert_eq!(config.data.dir, Path::new("/var/lib/litefs"));
    assert_eq!(config.data.retention, Some(Duration::from_secs(600)));
    assert_eq!(config.data.retention_monitor_interval, Some(Duration::from_secs(60)));
    assert_eq!(config.data.retention_size, None);
    assert_eq!(config.fuse.dir, Path::new("/litefs"));
    assert_eq!(config.fuse.other_files, OtherFiles::Deny);
    assert_eq!(config.http, HttpConfig { addr: ListenAddress::every(20202), snapshot_timeout: None });
    assert_eq!(config.lease.reconnect_delay, Duration::from_secs(1));
    assert_eq!(config.log, LogConfig { debug: false, format: LogFormat::Text, timestamp: false });
    assert!(config.data.compress && config.exit_on_error);
    assert!(!config.skip_sync && !config.strict_verify && !config.fuse.allow_other && !config.fuse.debug);
    assert_eq!(config.exec, []);
}

#[test]
fn sample_of_litefs_is_accepted() {
    let config = accepted(SAMPLE);
    let commands: Vec<_> =
        config.exec.iter().map(|entry| (entry.command.to_string(), entry.if_candidate)).collect();
    assert_eq!(commands, [("rails db:migrate".to_owned(), true), ("rails server -p 3000".to_owned(), false)]);
    assert_eq!(
        config.lease.role,
        StaticRole::Primary {
            hostname: "primary".to_owned(),
            advertise_url: Some("http://primary:20202".parse().unwrap())
        }
    );
}

#[test]
fn no_file_is_a_single_primary() {
    let overrides =
        Overrides { data_dir: Some("/data".into()), fuse_dir: Some("/mnt".into()), ..Overrides::default() };
    let config = resolve(single_primary(), overrides, &Environment::for_test(&[]), &mut Vec::new()).unwrap();
    assert_eq!(
        (config.data.dir.as_path(), config.fuse.dir.as_path()),
        (Path::new("/data"), Path::new("/mnt"))
    );
    assert_eq!(
        config.lease.role,
        StaticRole::Primary {
            hostname: "node-a".to_owned(),
            advertise_url: Some("http://node-a:20202".parse().unwrap())
        }
    );
}

#[test]
fn command_line_wins_over_the_file() {
    let arguments = ["sh".into(), "-c".into(), "exit 5".into()];
    let overrides = Overrides {
        data_dir: Some("/data".into()),
        fuse_dir: Some("/mnt".into()),
        exec: Some(CommandLine::from_arguments(&arguments).unwrap().0),
        debug: true,
        fuse_debug: true,
    };
    let config = resolved(SAMPLE, overrides).0.unwrap();
    assert_eq!(
        (config.data.dir.as_path(), config.fuse.dir.as_path()),
        (Path::new("/data"), Path::new("/mnt"))
    );
    assert_eq!(config.exec.len(), 1);
    assert_eq!(config.exec[0].command.arguments(), ["-c", "exit 5"]);
    assert!(config.log.debug && config.fuse.debug);
}

#[test]
fn replica_is_told_its_primary() {
    let config = accepted(
        "lease:\n  type: static\n  candidate: false\n  advertise-url: http://10.0.0.1:20202\n  databases: [a.db, b.db]\n",
    );
    assert_eq!(
        config.lease.role,
        StaticRole::Replica {
            primary_hostname: "10.0.0.1".to_owned(),
            primary_url: "http://10.0.0.1:20202".parse().unwrap(),
            databases: ["a.db", "b.db"].map(|name| DatabaseName::new(name).unwrap()).to_vec(),
        }
    );
    assert!(!config.lease.role.is_candidate());
}

#[test]
fn zero_or_less_switches_retention_off() {
    let config = accepted(
        "data:\n  retention: 0s\n  retention-monitor-interval: -1s\n  retention-size: 0\nlease:\n  type: static\n",
    );
    assert_eq!((config.data.retention, config.data.retention_monitor_interval), (None, None));
    assert_eq!(config.data.retention_size, None);
}

#[test]
fn settings_of_ours_are_read() {
    let config = accepted(
        "data:\n  retention-size: 2GiB\nfuse:\n  other-files: local\nhttp:\n  snapshot-timeout: 1d\nlease:\n  type: static\n",
    );
    assert_eq!(config.data.retention_size, Some(2 << 30));
    assert_eq!(config.fuse.other_files, OtherFiles::Local);
    assert_eq!(config.http.snapshot_timeout, Some(Duration::from_secs(86_400)));
}

#[test]
fn exec_is_one_command_or_a_list() {
    assert_eq!(
        accepted("exec: node server.js\nlease:\n  type: static\n").exec[0].command.to_string(),
        "node server.js"
    );
    assert_eq!(accepted("exec:\nlease:\n  type: static\n").exec, []);
    assert_eq!(accepted("exec: []\nlease:\n  type: static\n").exec, []);
}

#[test]
fn part_of_a_command_that_only_a_shell_would_run_is_warned_of() {
    let (config, warnings) =
        resolved("exec: migrate && serve\nlease:\n  type: static\n", Overrides::default());
    assert_eq!(config.unwrap().exec[0].command.to_string(), "migrate");
    assert_eq!(
        warnings,
        ["exec command[0]: \"&& serve\" is ignored, there is no shell; write sh -c '…' if you mean one"]
    );
}

#[test]
fn trace_log_is_warned_of() {
    let (config, warnings) =
        resolved("tracing:\n  path: /var/log/t\nlease:\n  type: static\n", Overrides::default());
    config.unwrap();
    assert_eq!(warnings, ["tracing.path is set to \"/var/log/t\", but there is no trace log; use log.debug"]);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    refused(
        "fuse:\n  dir: ''\n",
        "fuse directory required: set fuse.dir, or name the mount point on the command line",
    );
    refused(
        "data:\n  dir: ''\n",
        "data directory required: set data.dir, or give --dir DATA on the command line",
    );
    refused(
        "fuse:\n  dir: /a/b\ndata:\n  dir: /a//b/\n",
        "fuse directory and data directory cannot be the same path: both are /a/b; keep the data outside of the mount",
    );
    refused(
        "fuse:\n  dir: /a\ndata:\n  dir: /a/b\n",
        "data directory /a/b lies inside the fuse directory /a: the mount would hide its own data; keep the data outside of the mount",
    );
    refused(
        "lease:\n  type: raft\n",
        "invalid lease type, must be either 'consul' or 'static', got: 'raft'; set lease.type, for example to static for a primary that never moves",
    );
    refused(
        "data:\n  dir: /a\n",
        "invalid lease type, must be either 'consul' or 'static', got: ''; set lease.type, for example to static for a primary that never moves",
    );
    refused(
        "lease:\n  type: static\n  databases: [a]\n",
        "cannot specify a database replication filter on candidate nodes: remove lease.databases, or set lease.candidate to false",
    );
    refused(
        "lease:\n  type: static\n  candidate: false\n",
        "lease.advertise-url required: a static replica (lease.candidate: false) needs the URL of the primary",
    );
    refused(
        "lease:\n  type: static\n  advertise-url: a:1\n",
        "lease.advertise-url: invalid URL scheme in \"a:1\": nodes speak http, without TLS; write http://host:port",
    );
    refused(
        "lease:\n  type: static\n  candidate: false\n  databases: [a, b/c]\n",
        "lease.databases[1]: invalid database name: byte 0x2f at index 1 cannot be in a file name",
    );
    refused("lease:\n  type: static\n  reconnect-delay: -1s\n", "lease.reconnect-delay must not be negative");
    refused(
        "http:\n  snapshot-timeout: -1s\nlease:\n  type: static\n",
        "http.snapshot-timeout must not be negative",
    );
    refused(
        "exec: ''\nlease:\n  type: static\n",
        "cannot parse exec command[0]: the command is empty: name a program, or remove the entry",
    );
    refused(
        "exec:\n  - cmd: a\n  - if-candidate: true\nlease:\n  type: static\n",
        "cannot parse exec command[1]: the command is empty: name a program, or remove the entry",
    );
    refused(
        "exec: sh -c 'a\nlease:\n  type: static\n",
        "cannot parse exec command[0]: invalid command line string: '\\'' has no counterpart; quote it, or run a script",
    );
}

#[test]
fn settings_that_are_not_supported_are_refused_by_their_key() {
    refused(
        "lease:\n  type: consul\n  consul:\n    url: http://localhost:8500\n    key: litefs/primary\n",
        "lease.type is set to \"consul\", but a lease kept by Consul is not supported yet: set it to static, with candidate: true on the one node that is to be primary",
    );
    refused(
        "lease:\n  type: static\nproxy:\n  addr: ':8080'\n  target: localhost:8081\n  db: app.db\n",
        "proxy.target is set to \"localhost:8081\", but the HTTP proxy is not supported yet: remove the proxy section and let clients reach the application directly",
    );
    refused(
        "lease:\n  type: static\nbackup:\n  type: file\n  path: /backup\n",
        "backup.type is set to \"file\", but a backup is not supported yet: remove the backup section, and export databases on a schedule instead",
    );
}

#[test]
fn proxy_without_target_is_no_proxy() {
    accepted("lease:\n  type: static\nproxy:\n  addr: ':8080'\n  max-lag: 10s\n  passthrough: ['*.css']\n");
}

#[test]
fn token_of_litefs_cloud_is_refused_without_being_shown() {
    let environment = Environment::for_test(&[("LITEFS_CLOUD_TOKEN", "secret")]);
    let error = resolve(single_primary(), Overrides::default(), &environment, &mut Vec::new())
        .unwrap_err()
        .to_string();
    assert!(error.contains("LITEFS_CLOUD_TOKEN") && !error.contains("secret"), "{error}");

    let blank = Environment::for_test(&[("LITEFS_CLOUD_TOKEN", " ")]);
    resolve(single_primary(), Overrides::default(), &blank, &mut Vec::new()).unwrap();
}

#[test]
fn b27_advertised_address_with_tls_is_refused() {
    refused(
        "lease:\n  type: static\n  advertise-url: https://a:1\n",
        "lease.advertise-url: invalid URL scheme in \"https://a:1\": nodes speak http, without TLS; write http://host:port",
    );
}
