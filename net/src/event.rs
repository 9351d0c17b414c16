use litefs_core::{DatabaseName, PageSize, Position};
use serde::Serialize;

use crate::Role;
use crate::timestamp::rfc3339;

/// Something that subscribers of `/events` hear of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A transaction was committed here, or received and applied.
    Transaction {
        /// Whose.
        database: DatabaseName,
        /// Where the database is now.
        position: Position,
        /// Bytes in a page.
        page_size: PageSize,
        /// Pages in the database; 0 when it was dropped.
        commit: u32,
        /// When it was committed, in milliseconds since the Unix epoch.
        timestamp_ms: i64,
    },
    /// The role of this node changed.
    RoleChange(Role),
}

/// One line of `/events`. The order of the fields is that of LiteFS.
#[derive(Serialize)]
struct Line<'a, Data> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    db: Option<&'a str>,
    data: Data,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RoleData<'a> {
    is_primary: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransactionData {
    #[serde(rename = "txID")]
    txid: String,
    post_apply_checksum: String,
    page_size: u32,
    commit: u32,
    timestamp: String,
}

impl Event {
    /// The line of `/events`, with its line feed.
    pub(crate) fn line(&self) -> Result<String, serde_json::Error> {
        match self {
            Self::Transaction { database, position, page_size, commit, timestamp_ms } => line(&Line {
                r#type: "tx",
                db: Some(database.as_str()),
                data: TransactionData {
                    txid: position.txid.to_string(),
                    post_apply_checksum: position.checksum.to_string(),
                    page_size: page_size.get(),
                    commit: *commit,
                    timestamp: rfc3339(*timestamp_ms),
                },
            }),
            Self::RoleChange(role) => {
                line(&Line { r#type: "primaryChange", db: None, data: RoleData::of(role) })
            }
        }
    }

    /// The first line of `/events`, which tells the role at the time of subscribing.
    pub(crate) fn first_line(role: &Role) -> Result<String, serde_json::Error> {
        line(&Line { r#type: "init", db: None, data: RoleData::of(role) })
    }
}

impl<'a> RoleData<'a> {
    fn of(role: &'a Role) -> Self {
        let hostname = match role {
            Role::Replica(primary) if !primary.hostname.is_empty() => Some(primary.hostname.as_str()),
            Role::Replica(_) | Role::Searching | Role::Primary => None,
        };
        Self { is_primary: role.is_primary(), hostname }
    }
}

fn line(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use litefs_core::{Checksum, Txid};

    use super::*;
    use crate::PrimaryInfo;

    #[test]
    fn lines_are_those_of_litefs() {
        let transaction = Event::Transaction {
            database: DatabaseName::new("db").unwrap(),
            position: Position { txid: Txid::new(4), checksum: Checksum::new(0xa2fc_350a_c736_2d33) },
            page_size: PageSize::new(4096).unwrap(),
            commit: 2,
            timestamp_ms: 1_795_336_405_373,
        };
        let replica =
            Role::Replica(PrimaryInfo { hostname: "nodec".into(), url: "http://nodec:20202".into() });
        let lines = [
            Event::first_line(&replica).unwrap(),
            transaction.line().unwrap(),
            Event::RoleChange(Role::Primary).line().unwrap(),
        ];
        let expected = concat!(
            r#"{"type":"init","data":{"isPrimary":false,"hostname":"nodec"}}"#,
            "\n",
            r#"{"type":"tx","db":"db","data":{"txID":"0000000000000004","postApplyChecksum":"a2fc350ac7362d33","pageSize":4096,"commit":2,"timestamp":"2026-11-22T08:33:25.373Z"}}"#,
            "\n",
            r#"{"type":"primaryChange","data":{"isPrimary":true}}"#,
            "\n",
        );
        assert_eq!(lines.concat(), expected);
    }
}
