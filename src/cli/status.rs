use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use indicatif::BinaryBytes;
use litefs_net::{ClientError, Status as NodeStatus};

use super::client::{NodeUrl, block_on};

const NOT_FOUND: u16 = 404;

/// Shows what a node is, and where its databases are
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    node: NodeUrl,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let client = self.node.client()?;
        block_on(async {
            let status = match client.status().await {
                Err(ClientError::Refused { status: NOT_FOUND, .. }) => {
                    anyhow::bail!("the node does not answer /status: it is one of LiteFS, ask it for /info")
                }
                status => status?,
            };
            if self.json {
                writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&status)?)?;
            } else {
                io::stdout().write_all(render(&status, SystemTime::now()).as_bytes())?;
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// The facts about the node line by line, then its databases as a table.
fn render(status: &NodeStatus, now: SystemTime) -> String {
    let since = SystemTime::UNIX_EPOCH + Duration::from_millis(status.since_ms.try_into().unwrap_or(0));
    let age = now.duration_since(since).unwrap_or_default();
    let role = format!("{} for {}", status.role, humantime::format_duration(whole_seconds(age)));
    let primary = match (&status.primary_hostname, &status.primary_url) {
        (Some(hostname), Some(url)) => format!("{hostname} ({url})"),
        (Some(hostname), None) => hostname.clone(),
        (None, Some(url)) => url.clone(),
        (None, None) => "none known".to_owned(),
    };
    let mut facts = vec![
        ("node", format!("{} ({})", status.hostname, status.node_id)),
        ("role", role),
        ("primary", primary),
        ("ready", if status.ready { "yes" } else { "no" }.to_owned()),
        ("candidate", if status.candidate { "yes" } else { "no" }.to_owned()),
        ("lag", status.lag_ms.map_or_else(|| "unknown".to_owned(), milliseconds)),
        ("followers", status.subscribers.len().to_string()),
        ("data", status.data_dir.clone()),
    ];
    if let Some(cluster) = &status.cluster_id {
        facts.insert(1, ("cluster", cluster.clone()));
    }
    let mut text = String::new();
    for (name, value) in facts {
        text.push_str(&format!("{name:<10} {value}\n"));
    }
    text.push('\n');
    text.push_str(&databases(status));
    text
}

fn databases(status: &NodeStatus) -> String {
    if status.databases.is_empty() {
        return "no databases\n".to_owned();
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["DATABASE", "TXID", "CHECKSUM", "SIZE", "PAGE", "LOG", "LAG"]);
    for (name, database) in &status.databases {
        table.add_row([
            name.clone(),
            database.txid.clone(),
            database.checksum.clone(),
            BinaryBytes(database.size_bytes).to_string(),
            database.page_size.to_string(),
            BinaryBytes(database.log_bytes).to_string(),
            milliseconds(database.lag_ms),
        ]);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= 3 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

fn milliseconds(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds}ms"),
        _ => humantime::format_duration(whole_seconds(Duration::from_millis(milliseconds))).to_string(),
    }
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

#[cfg(test)]
mod tests {
    use litefs_net::DatabaseSummary;

    use super::*;

    fn replica() -> NodeStatus {
        NodeStatus {
            node_id: "00000000000000AB".to_owned(),
            cluster_id: None,
            hostname: "node-b".to_owned(),
            data_dir: "/var/lib/litefs".to_owned(),
            role: "replica".to_owned(),
            since_ms: 1_000_000,
            ready: true,
            candidate: false,
            primary_hostname: Some("node-a".to_owned()),
            primary_url: Some("http://node-a:20202".to_owned()),
            lag_ms: Some(12),
            subscribers: Vec::new(),
            databases: std::collections::BTreeMap::new(),
        }
    }

    fn summary(txid: &str, pages: u32, lag_ms: u64) -> DatabaseSummary {
        DatabaseSummary {
            txid: txid.to_owned(),
            checksum: "f07b7dc7701d41ba".to_owned(),
            page_size: 4096,
            pages,
            size_bytes: u64::from(pages) * 4096,
            log_first: None,
            log_last: None,
            log_bytes: 2048,
            lag_ms,
        }
    }

    fn shown(status: &NodeStatus) -> String {
        render(status, SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000 + 90_500))
    }

    #[test]
    fn databases_are_shown_as_a_table_below_the_node() {
        let mut status = replica();
        status.databases.insert("app.db".to_owned(), summary("0000000000000002", 2, 7));
        status.databases.insert("orders.db".to_owned(), summary("00000000000000ff", 262_144, 61_000));
        insta::assert_snapshot!(shown(&status));
    }

    #[test]
    fn node_that_has_nothing_yet_is_shown() {
        let status = NodeStatus {
            cluster_id: Some("LFSCBA88D85152003FD8".to_owned()),
            role: "searching".to_owned(),
            ready: false,
            primary_hostname: None,
            primary_url: None,
            lag_ms: None,
            ..replica()
        };
        insta::assert_snapshot!(shown(&status));
    }
}
