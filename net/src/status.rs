use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::DatabaseStatus;

/// What `/status` tells about a node, as JSON with these field names in `camelCase`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Its id, 16 hexadecimal digits.
    #[serde(rename = "nodeID")]
    pub node_id: String,
    /// The cluster it belongs to.
    #[serde(rename = "clusterID")]
    pub cluster_id: Option<String>,
    /// Its host name.
    pub hostname: String,
    /// Its data directory.
    pub data_dir: String,
    /// `primary`, `replica` or `searching`.
    pub role: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// Whether it has had everything since it started.
    pub ready: bool,
    /// Whether it may become primary.
    pub candidate: bool,
    /// The host name of the primary, which may be this node.
    pub primary_hostname: Option<String>,
    /// Where the API of the primary is, if that is another node.
    pub primary_url: Option<String>,
    /// How far it is behind the primary; nothing if it never had everything.
    pub lag_ms: Option<u64>,
    /// The ids of the nodes that follow it.
    pub subscribers: Vec<String>,
    /// Its databases by name.
    pub databases: BTreeMap<String, DatabaseSummary>,
}

/// What `/status` tells about one database.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseSummary {
    /// Its last transaction, 16 hexadecimal digits.
    pub txid: String,
    /// Its checksum, 16 hexadecimal digits.
    pub checksum: String,
    /// Bytes in a page, 0 if nothing was written yet.
    pub page_size: u32,
    /// Pages in the database.
    pub pages: u32,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The oldest transaction in the log.
    pub log_first: Option<String>,
    /// The newest transaction in the log.
    pub log_last: Option<String>,
    /// Bytes in the log.
    pub log_bytes: u64,
    /// Milliseconds between the commit of the last transaction and its application here.
    pub lag_ms: u64,
}

impl From<DatabaseStatus> for DatabaseSummary {
    fn from(status: DatabaseStatus) -> Self {
        Self {
            txid: status.position.txid.to_string(),
            checksum: status.position.checksum.to_string(),
            page_size: status.page_size,
            pages: status.pages,
            size_bytes: u64::from(status.page_size) * u64::from(status.pages),
            log_first: status.log.map(|(first, _)| first.to_string()),
            log_last: status.log.map(|(_, last)| last.to_string()),
            log_bytes: status.log_bytes,
            lag_ms: status.lag_ms,
        }
    }
}
