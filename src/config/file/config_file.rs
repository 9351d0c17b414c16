//! What a `litefs.yml` may say, key by key. Everything is optional, and a key without a value counts as absent, so
//! that a section whose lines are all commented out is the same as none.

#![expect(missing_docs, reason = "the fields are the keys of the file, which docs/operations.md describes")]

use std::path::PathBuf;

use serde::Deserialize;
use serde_path_to_error::Track;

use crate::{ByteSize, ExecSpec, ListenAddress, LogFormat, OtherFiles, SignedDuration, SyntaxError};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConfigFile {
    pub backup: Option<BackupSection>,
    pub data: Option<DataSection>,
    pub exec: Option<ExecSpec>,
    pub exit_on_error: Option<bool>,
    pub fuse: Option<FuseSection>,
    pub http: Option<HttpSection>,
    pub lease: Option<LeaseSection>,
    pub log: Option<LogSection>,
    pub proxy: Option<ProxySection>,
    pub skip_sync: Option<bool>,
    pub strict_verify: Option<bool>,
    pub tracing: Option<TracingSection>,
}

impl ConfigFile {
    /// Reads the text of a file whose variables are expanded already.
    ///
    /// # Errors
    /// Unknown and duplicate keys, values of a wrong type and whatever is not YAML, with line, column and key.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut track = Track::new();
        let options = serde_saphyr::options! { with_snippet: false };
        serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
            Self::deserialize(serde_path_to_error::Deserializer::new(deserializer, &mut track))
        })
        .map_err(|error| SyntaxError::new(&track.path().to_string(), &error))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataSection {
    pub compress: Option<bool>,
    pub dir: Option<PathBuf>,
    pub retention: Option<SignedDuration>,
    pub retention_monitor_interval: Option<SignedDuration>,
    pub retention_size: Option<ByteSize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FuseSection {
    pub allow_other: Option<bool>,
    pub debug: Option<bool>,
    pub dir: Option<PathBuf>,
    pub other_files: Option<OtherFiles>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HttpSection {
    pub addr: Option<ListenAddress>,
    pub snapshot_timeout: Option<SignedDuration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
// The proxy is refused by its target; the other keys are only checked for their types.
pub struct ProxySection {
    pub addr: Option<String>,
    pub always_forward: Option<Vec<String>>,
    pub db: Option<String>,
    pub debug: Option<bool>,
    pub idle_timeout: Option<SignedDuration>,
    pub max_lag: Option<SignedDuration>,
    pub passthrough: Option<Vec<String>>,
    pub primary_redirect_timeout: Option<SignedDuration>,
    pub read_header_timeout: Option<SignedDuration>,
    pub read_timeout: Option<SignedDuration>,
    pub target: Option<String>,
    pub write_timeout: Option<SignedDuration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
// Some keys have a meaning only for leases that move; they are checked for their types.
pub struct LeaseSection {
    pub advertise_url: Option<String>,
    pub candidate: Option<bool>,
    pub consul: Option<ConsulSection>,
    pub databases: Option<Vec<String>>,
    pub demote_delay: Option<SignedDuration>,
    pub hostname: Option<String>,
    pub promote: Option<bool>,
    pub reconnect_delay: Option<SignedDuration>,
    #[serde(rename = "type")]
    pub service: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
// A Consul lease is refused by its type; its keys are only checked for their types.
pub struct ConsulSection {
    pub key: Option<String>,
    pub lock_delay: Option<SignedDuration>,
    pub ttl: Option<SignedDuration>,
    pub url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
// A backup is refused by its type; the other keys are only checked for their types.
pub struct BackupSection {
    pub auth_token: Option<String>,
    pub cluster: Option<String>,
    pub path: Option<String>,
    #[serde(rename = "type")]
    pub service: Option<String>,
    pub url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LogSection {
    pub debug: Option<bool>,
    pub format: Option<LogFormat>,
    pub timestamp: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
// The trace log is announced as missing by its path; the other keys are only checked.
pub struct TracingSection {
    pub compress: Option<bool>,
    pub enabled: Option<bool>,
    pub max_count: Option<u32>,
    pub max_size: Option<u32>,
    pub path: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, message: &str) {
        assert_eq!(ConfigFile::parse(text).unwrap_err().to_string(), message, "{text}");
    }

    #[test]
    fn section_or_key_without_a_value_counts_as_absent() {
        let file = ConfigFile::parse("proxy:\n  # target: x\nexec:\nlease:\n  type: static\n  candidate:\n")
            .unwrap();
        assert!(file.proxy.is_none());
        assert!(file.exec.is_none());
        let lease = file.lease.unwrap();
        assert_eq!(lease.service.as_deref(), Some("static"));
        assert_eq!(lease.candidate, None);
    }

    #[test]
    fn booleans_of_older_yaml_are_booleans() {
        let file = ConfigFile::parse("skip-sync: yes\nstrict-verify: off\nexit-on-error: False\n").unwrap();
        assert_eq!(
            (file.skip_sync, file.strict_verify, file.exit_on_error),
            (Some(true), Some(false), Some(false))
        );
    }

    #[test]
    fn unknown_key_is_refused_with_line_column_and_the_nearest_known_key() {
        refused(
            "data:\n  dir: /a\n  retenton: 1h\n",
            "line 3, column 3: unknown key \"data.retenton\": did you mean \"retention\"?",
        );
        refused(
            "fuse:\n  zzz: 1\n",
            "line 2, column 3: unknown key \"fuse.zzz\": expected one of allow-other, debug, dir, other-files",
        );
        refused("leas:\n  type: static\n", "line 1, column 1: unknown key \"leas\": did you mean \"lease\"?");
        refused(
            "exec:\n  - cmd: a\n    if-primary: true\n",
            "line 3, column 5: unknown key \"exec[0].if-primary\": expected one of cmd, if-candidate",
        );
    }

    #[test]
    fn duplicate_key_is_refused_with_its_line() {
        refused(
            "data:\n  dir: /a\n  dir: /b\n",
            "line 3, column 3: duplicate key \"data.dir\": keep one of them",
        );
        refused(
            "data:\n  dir: /a\nfuse:\ndata:\n",
            "line 4, column 1: duplicate key \"data\": keep one of them",
        );
    }

    #[test]
    fn value_of_a_wrong_type_is_refused_with_its_key_and_line() {
        refused("skip-sync: maybe\n", "line 1, column 12: skip-sync: expected true or false");
        refused(
            "data:\n  retention: 10\n",
            "line 2, column 14: data.retention: invalid duration \"10\": missing unit, write for example \"10s\" for ten seconds",
        );
        refused(
            "data:\n  retention-size: 10gigs\n",
            "line 2, column 19: data.retention-size: invalid size \"10gigs\": expected a whole number of bytes, or one with a unit of KB, MB, GB, TB (thousands) or KiB, MiB, GiB, TiB (1024s)",
        );
        refused(
            "fuse:\n  other-files: locl\n",
            "line 2, column 16: fuse.other-files: unknown value \"locl\": did you mean \"local\"?",
        );
        refused(
            "log:\n  format: xml\n",
            "line 2, column 11: log.format: unknown value \"xml\": expected one of text, json",
        );
        refused("lease:\n  databases: app.db\n", "line 2, column 14: lease.databases: expected a list");
        refused(
            "http:\n  addr: 20202\n",
            "line 2, column 9: http.addr: invalid address \"20202\": expected \":PORT\", \"HOST:PORT\" or \"[IPV6]:PORT\", such as \":20202\"",
        );
        refused(
            "tracing:\n  max-size: big\n",
            "line 2, column 13: tracing.max-size: expected a whole number",
        );
        refused(
            "exec:\n  cmd: a\n",
            "line 2, column 3: exec: invalid exec config format: expected a command, or a list of entries with `cmd` and `if-candidate`",
        );
        refused(
            "exec:\n  - if-candidate: 7\n",
            "line 2, column 19: exec[0].if-candidate: expected true or false",
        );
        refused("data: [1, 2]\n", "line 1, column 7: data: expected keys with values");
    }

    #[test]
    fn text_that_is_not_yaml_is_refused_with_its_line() {
        refused("data: {dir: /a\n", "line 1, column 7: data: unclosed bracket '{'");
        refused(
            "data:\n\tdir: /a\n",
            "line 2, column 2: not a configuration in YAML: tabs disallowed within this context (block indentation)",
        );
        refused(
            "skip-sync: true\n---\nskip-sync: false\n",
            "line 3, column 1: not a configuration in YAML: only single YAML document expected but multiple found",
        );
        refused("just text\n", "line 1, column 1: not a configuration in YAML: expected keys with values");
    }
}
