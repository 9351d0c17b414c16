//! `/halt`, `/tx`, `/promote` and `/handoff`: who may write.

use std::sync::Arc;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use litefs_core::NodeId;
use tokio::task::spawn_blocking;

use super::Context;
use crate::reply::{Reply, bad_request, done, error_reply, internal_error};
use crate::{Client, HandoffError, Role, header, query};

/// Halt locks are not granted, so a replica cannot write through this node.
pub(super) fn halt(context: &Context, request: &Request<Incoming>) -> Reply {
    if let Some(refusal) = refuse_halt(context, request, "cannot remotely halt self") {
        return refusal;
    }
    error_reply(StatusCode::NOT_IMPLEMENTED, "acquire halt lock: this node does not grant halt locks")
}

/// A lock that is not held is released already.
pub(super) fn unhalt(context: &Context, request: &Request<Incoming>) -> Reply {
    if let Some(refusal) = refuse_halt(context, request, "cannot remotely unhalt self") {
        return refusal;
    }
    refuse_unknown_database(context, request).unwrap_or_else(done)
}

/// A forwarded transaction needs a halt lock, and none is held.
pub(super) fn forwarded_transaction(context: &Context, request: &Request<Incoming>) -> Reply {
    if is_self(context, request) {
        return bad_request("cannot remotely halt self");
    }
    if let Some(refusal) = refuse_unknown_database(context, request) {
        return refusal;
    }
    let lock = match query::parameter(request.uri().query(), "lockID") {
        Ok(lock) => lock.unwrap_or_default(),
        Err(error) => return bad_request(&error.to_string()),
    };
    error_reply(StatusCode::CONFLICT, &format!("write ltx file: halt lock {lock:?} is not held"))
}

pub(super) async fn promote(context: &Context) -> Reply {
    let identity = context.host.identity();
    let role = context.host.standing().borrow().role.clone();
    let primary = match role {
        _ if !identity.candidate => {
            return error_reply(StatusCode::CONFLICT, "not eligible to become primary");
        }
        Role::Primary => return done(),
        Role::Searching => {
            return internal_error("no primary is currently available for handoff, cannot promote");
        }
        Role::Replica(primary) => primary,
    };
    let handoff = async { Client::new(&primary.url)?.handoff(identity.node_id).await };
    match handoff.await {
        Ok(()) => done(),
        Err(error) => internal_error(&format!("handoff failed: {error}")),
    }
}

pub(super) async fn handoff(context: Arc<Context>, request: &Request<Incoming>) -> Reply {
    let target = query::parameter(request.uri().query(), "nodeID").ok().flatten();
    let Some(target) = target.and_then(|text| text.parse::<NodeId>().ok()) else {
        return bad_request("invalid node id");
    };
    let outcome = if !context.host.standing().borrow().role.is_primary() {
        Err(HandoffError::NotPrimary)
    } else if !context.subscribers.nodes().contains(&target) {
        Err(HandoffError::NotConnected)
    } else {
        let host = Arc::clone(&context.host);
        match spawn_blocking(move || host.handoff(target)).await {
            Ok(outcome) => outcome,
            Err(error) => return internal_error(&format!("cannot handoff: {error}")),
        }
    };
    match outcome {
        Ok(()) => done(),
        Err(reason) => internal_error(&format!("cannot handoff: {reason}")),
    }
}

/// What is wrong with the parameters of a request about a halt lock.
fn refuse_halt(context: &Context, request: &Request<Incoming>, to_self: &str) -> Option<Reply> {
    let query = request.uri().query();
    let id = match query::parameter(query, "id") {
        Ok(id) => id.unwrap_or_default(),
        Err(error) => return Some(bad_request(&error.to_string())),
    };
    if id.parse::<i64>().is_err() {
        return Some(bad_request(&format!("invalid id: {id:?}")));
    }
    if is_self(context, request) {
        return Some(bad_request(to_self));
    }
    query::database(query).err().map(|error| bad_request(&error.to_string()))
}

fn refuse_unknown_database(context: &Context, request: &Request<Incoming>) -> Option<Reply> {
    match query::database(request.uri().query()) {
        Ok(name) if context.host.positions().contains_key(&name) => None,
        Ok(name) => {
            Some(error_reply(StatusCode::NOT_FOUND, &format!("database not found: {:?}", name.as_str())))
        }
        Err(error) => Some(bad_request(&error.to_string())),
    }
}

fn is_self(context: &Context, request: &Request<Incoming>) -> bool {
    header::sender(request.headers()) == context.host.identity().node_id
}
