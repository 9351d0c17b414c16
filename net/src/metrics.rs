use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use litefs_core::DatabaseName;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::Host;

type Seconds = Gauge<f64, AtomicU64>;

/// The metrics of one node, under the names of LiteFS.
///
/// What the host knows is read when somebody asks; only what the network side counts is kept here.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    db_count: Gauge,
    is_primary: Gauge,
    subscriber_count: Gauge,
    stream_count: Gauge,
    lag_seconds: Seconds,
    gauges: [Family<OfDatabase, Gauge>; 4],
    counters: [Family<OfDatabase, Counter>; 5],
    db_lag_seconds: Family<OfDatabase, Seconds>,
    frames_sent: Family<Frames, Counter>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfDatabase {
    db: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Frames {
    db: String,
    r#type: &'static str,
}

/// Gauges of a database, and what each is.
const GAUGES: [(&str, &str); 4] = [
    ("litefs_db_txid", "Last transaction of the database"),
    ("litefs_db_ltx_count", "Transactions in the log"),
    ("litefs_db_ltx_bytes", "Bytes in the log"),
    ("litefs_db_ltx_reap_count", "Transactions that retention removed from the log"),
];

/// Counters of a database, and what each counts.
const COUNTERS: [(&str, &str); 5] = [
    ("litefs_db_database_write_count", "Writes to the database file"),
    ("litefs_db_journal_write_count", "Writes to the rollback journal"),
    ("litefs_db_wal_write_count", "Writes to the write-ahead log"),
    ("litefs_db_shm_write_count", "Writes to the wal-index that the daemon sees"),
    ("litefs_db_commit_count", "Transactions committed on this node"),
];

impl Metrics {
    /// Metrics of a node that has not done anything.
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::default(),
            db_count: Gauge::default(),
            is_primary: Gauge::default(),
            subscriber_count: Gauge::default(),
            stream_count: Gauge::default(),
            lag_seconds: Seconds::default(),
            gauges: Default::default(),
            counters: Default::default(),
            db_lag_seconds: Family::default(),
            frames_sent: Family::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("litefs_db_count", "Databases", self.db_count.clone());
        registry.register("litefs_is_primary", "Whether this node is the primary", self.is_primary.clone());
        registry.register("litefs_subscriber_count", "Subscribers to changes", self.subscriber_count.clone());
        registry.register("litefs_http_stream_count", "Replication streams", self.stream_count.clone());
        registry.register("litefs_lag_seconds", "Time behind the primary", self.lag_seconds.clone());
        for ((name, help), family) in GAUGES.into_iter().zip(&self.gauges) {
            registry.register(name, help, family.clone());
        }
        for ((name, help), family) in COUNTERS.into_iter().zip(&self.counters) {
            registry.register(name, help, family.clone());
        }
        registry.register(
            "litefs_db_lag_seconds",
            "Time from commit to application of the last transaction",
            self.db_lag_seconds.clone(),
        );
        registry.register("litefs_http_frame_send_count", "LTX files sent", self.frames_sent.clone());
        self
    }

    /// An LTX file of the database was sent to a subscriber.
    pub(crate) fn frame_sent(&self, database: &DatabaseName, snapshot: bool) {
        let db = database.as_str().to_owned();
        let r#type = if snapshot { "ltx:snapshot" } else { "ltx" };
        self.frames_sent.get_or_create(&Frames { db, r#type }).inc();
    }

    /// All metrics, as Prometheus's text format 0.0.4.
    pub(crate) fn scrape(&self, host: &dyn Host, streams: usize) -> Result<String, fmt::Error> {
        let databases = host.databases();
        let streams = i64::try_from(streams).unwrap_or(i64::MAX);
        self.db_count.set(i64::try_from(databases.len()).unwrap_or(i64::MAX));
        self.is_primary.set(i64::from(host.standing().borrow().role.is_primary()));
        self.subscriber_count.set(streams);
        self.stream_count.set(streams);
        self.lag_seconds.set(host.lag().unwrap_or_default().as_secs_f64());
        for family in &self.gauges {
            family.clear();
        }
        self.db_lag_seconds.clear();
        for (name, status) in databases {
            let labels = OfDatabase { db: name.as_str().to_owned() };
            let counts = status.counts;
            let gauges = [status.position.txid.get(), counts.ltx_files, status.log_bytes, counts.ltx_reaped];
            for (family, value) in self.gauges.iter().zip(gauges) {
                family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
            }
            let counters = [
                counts.database_writes,
                counts.journal_writes,
                counts.wal_writes,
                counts.shm_writes,
                counts.commits,
            ];
            for (family, value) in self.counters.iter().zip(counters) {
                family.get_or_create(&labels).inner().store(value, Ordering::Relaxed);
            }
            let lag = std::time::Duration::from_millis(status.lag_ms);
            self.db_lag_seconds.get_or_create(&labels).set(lag.as_secs_f64());
        }
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        Ok(without_total(&text))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The text without the suffix `_total`, which OpenMetrics demands of counters and LiteFS's names do not have.
fn without_total(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        match name.strip_suffix("_total") {
            Some(stem) => {
                plain.push_str(stem);
                plain.push_str(&line[name.len()..]);
            }
            None => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_suffix_of_a_sample_is_removed() {
        let text = "# HELP a_total x_total.\na_total{db=\"b_total c\"} 5\nb_total 6\nc 7\n";
        assert_eq!(without_total(text), "# HELP a_total x_total.\na{db=\"b_total c\"} 5\nb 6\nc 7\n");
    }
}
