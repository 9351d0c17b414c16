//! `/info` and `/status`: what this node is.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Context;
use crate::Role;
use crate::reply::{Reply, json};
use crate::status::Status;

/// `/info`, with the fields and their order of LiteFS.
#[derive(Serialize)]
struct Info<'a> {
    #[serde(rename = "clusterID", skip_serializing_if = "Option::is_none")]
    cluster_id: Option<&'a str>,
    #[serde(rename = "isPrimary")]
    is_primary: bool,
    candidate: bool,
    path: &'a str,
    primary: Primary<'a>,
}

#[derive(Serialize)]
struct Primary<'a> {
    hostname: &'a str,
}

pub(super) fn info(context: &Context) -> Reply {
    let identity = context.host.identity();
    let standing = context.host.standing().borrow().clone();
    let hostname = match &standing.role {
        Role::Primary => &identity.hostname,
        Role::Replica(primary) => &primary.hostname,
        Role::Searching => "",
    };
    json(&Info {
        cluster_id: identity.cluster_id.as_ref().map(|id| id.as_str()),
        is_primary: standing.role.is_primary(),
        candidate: identity.candidate,
        path: &identity.data_dir,
        primary: Primary { hostname },
    })
}

pub(super) fn status(context: &Context) -> Reply {
    let identity = context.host.identity();
    let standing = context.host.standing().borrow().clone();
    let (primary_hostname, primary_url) = match standing.role {
        Role::Replica(ref primary) => (Some(primary.hostname.clone()), Some(primary.url.clone())),
        Role::Primary => (Some(identity.hostname.clone()), None),
        Role::Searching => (None, None),
    };
    let databases: BTreeMap<_, _> = context
        .host
        .databases()
        .into_iter()
        .map(|(name, status)| (name.as_str().to_owned(), status.into()))
        .collect();
    json(&Status {
        node_id: identity.node_id.to_string(),
        cluster_id: identity.cluster_id.map(|id| id.to_string()),
        hostname: identity.hostname,
        data_dir: identity.data_dir,
        role: standing.role.as_str().to_owned(),
        since_ms: standing.since_ms,
        ready: standing.ready,
        candidate: identity.candidate,
        primary_hostname,
        primary_url,
        lag_ms: context.host.lag().map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
        subscribers: context.subscribers.nodes().iter().map(ToString::to_string).collect(),
        databases,
    })
}
