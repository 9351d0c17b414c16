//! `/metrics` and `/debug/vars`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Context;
use crate::reply::{Reply, internal_error, json, ok};

/// `/debug/vars`, as far as it is about the node and not about the runtime of its language.
#[derive(Serialize)]
struct Variables {
    cmdline: Vec<String>,
    store: Store,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Store {
    is_primary: bool,
    candidate: bool,
    dbs: BTreeMap<String, Database>,
}

#[derive(Serialize)]
struct Database {
    name: String,
    txid: String,
    checksum: String,
}

pub(super) fn metrics(context: &Context) -> Reply {
    match context.metrics.scrape(context.host.as_ref(), context.subscribers.nodes().len()) {
        Ok(text) => ok("text/plain; version=0.0.4; charset=utf-8", text),
        Err(error) => internal_error(&error.to_string()),
    }
}

pub(super) fn variables(context: &Context) -> Reply {
    let dbs = context.host.positions().into_iter().map(|(name, position)| {
        let name = name.as_str().to_owned();
        let database = Database {
            name: name.clone(),
            txid: position.txid.to_string(),
            checksum: position.checksum.to_string(),
        };
        (name, database)
    });
    json(&Variables {
        cmdline: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        store: Store {
            is_primary: context.host.standing().borrow().role.is_primary(),
            candidate: context.host.identity().candidate,
            dbs: dbs.collect(),
        },
    })
}
