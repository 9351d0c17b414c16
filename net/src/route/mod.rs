//! The requests a node answers, one file per group.

mod diagnostics;
mod events;
mod info;
mod lease;
mod stream;
mod transfer;

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;

use crate::reply::{Reply, method_not_allowed, not_found};
use crate::subscribers::Subscribers;
use crate::{Host, Inbox, Limits, Metrics, Stop, header};

/// What every request is answered with.
pub(crate) struct Context {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) inbox: Inbox,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    pub(crate) stop: Stop,
    pub(crate) subscribers: Subscribers,
}

/// Answers one request.
pub(crate) async fn answer(context: Arc<Context>, request: Request<Incoming>) -> Result<Reply, Infallible> {
    let identity = context.host.identity();
    let mut reply = dispatch(context, request).await;
    let headers = reply.headers_mut();
    let node_id = identity.node_id.to_string();
    let cluster_id = identity.cluster_id.as_ref().map(|id| id.as_str());
    for (name, value) in [(header::ID, Some(node_id.as_str())), (header::CLUSTER_ID, cluster_id)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    Ok(reply)
}

async fn dispatch(context: Arc<Context>, request: Request<Incoming>) -> Reply {
    let method = request.method().clone();
    let allowed = match request.uri().path() {
        "/info" | "/status" | "/events" | "/export" | "/metrics" | "/debug/vars" => Method::GET,
        "/stream" | "/import" | "/tx" | "/promote" | "/handoff" => Method::POST,
        "/halt" if method == Method::DELETE => Method::DELETE,
        "/halt" => Method::POST,
        _ => return not_found(),
    };
    if method != allowed {
        return method_not_allowed(&allowed);
    }
    match request.uri().path() {
        "/info" => info::info(&context),
        "/status" => info::status(&context),
        "/events" => events::events(&context),
        "/metrics" => diagnostics::metrics(&context),
        "/debug/vars" => diagnostics::variables(&context),
        "/stream" => stream::stream(context, request).await,
        "/import" => transfer::import(context, request).await,
        "/export" => transfer::export(context, request).await,
        "/halt" if method == Method::DELETE => lease::unhalt(&context, &request),
        "/halt" => lease::halt(&context, &request),
        "/tx" => lease::forwarded_transaction(&context, &request),
        "/promote" => lease::promote(&context).await,
        "/handoff" => lease::handoff(context, &request).await,
        _ => not_found(),
    }
}
