//! `/stream`: the transactions of this node, as one sequence of frames without end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use litefs_core::stream::{PositionMapError, PositionMapReader};
use litefs_core::{DatabaseName, Position};
use tokio::time::timeout;
use tracing::info;

use super::Context;
use crate::body::MessageBody;
use crate::member::{Input, Subscribe};
use crate::reply::{Reply, bad_request, error_reply};
use crate::{header, query};

pub(super) async fn stream(context: Arc<Context>, mut request: Request<Incoming>) -> Reply {
    if request.version() != Version::HTTP_2 {
        return error_reply(StatusCode::UPGRADE_REQUIRED, "Upgrade to HTTP/2 required");
    }
    let node = header::sender(request.headers());
    if node == context.host.identity().node_id {
        return bad_request("cannot connect to self");
    }
    let filter = match filter(request.uri().query()) {
        Ok(filter) => filter,
        Err(error) => return bad_request(&error.to_string()),
    };
    if !context.host.standing().borrow().role.is_primary() {
        return error_reply(StatusCode::SERVICE_UNAVAILABLE, "lease expired");
    }
    let read = read_positions(request.body_mut(), context.limits.position_map_bytes);
    let theirs = match timeout(context.limits.header_timeout, read).await {
        Ok(Ok(positions)) => positions,
        Ok(Err(error)) => return bad_request(&error.to_string()),
        Err(_) => return error_reply(StatusCode::REQUEST_TIMEOUT, "the position map takes too long"),
    };
    info!("stream connected ({node})");
    let subscription = context.subscribers.add(node);
    let (sender, body) = MessageBody::pieces(None, context.limits.stall_timeout);
    let inbox = context.inbox.clone();
    let to = Subscribe { context, node, theirs, filter, body: sender, subscription };
    if !inbox.send(Input::Subscribe(Box::new(to))) {
        return error_reply(StatusCode::SERVICE_UNAVAILABLE, "lease expired");
    }
    let mut reply = Response::new(body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    reply
}

/// Why the positions of a subscriber cannot be read.
#[derive(Debug, thiserror::Error)]
enum PositionsError {
    #[error("unexpected EOF: the position map is cut off")]
    CutOff,
    #[error("cannot receive the position map: {0}")]
    Http(#[from] hyper::Error),
    #[error("the position map has more than {0} bytes")]
    TooLong(usize),
    #[error(transparent)]
    Invalid(#[from] PositionMapError),
}

/// Reads the positions, and not what follows them: a peer may keep its side of the request open.
async fn read_positions(
    body: &mut Incoming,
    limit: usize,
) -> Result<BTreeMap<DatabaseName, Position>, PositionsError> {
    let mut reader = PositionMapReader::new();
    let mut received = 0;
    loop {
        let Some(frame) = body.frame().await.transpose()? else { return Err(PositionsError::CutOff) };
        let Ok(data) = frame.into_data() else { continue };
        received += data.len();
        if reader.feed(&data)? {
            return Ok(reader.into_positions());
        }
        if received > limit {
            return Err(PositionsError::TooLong(limit));
        }
    }
}

/// The databases in the parameter `filter`, or `None` if all are wanted.
fn filter(query: Option<&str>) -> Result<Option<BTreeSet<DatabaseName>>, query::QueryError> {
    let Some(names) = query::parameter(query, "filter")? else { return Ok(None) };
    if names.is_empty() {
        return Ok(None);
    }
    let names: Result<_, _> = names.split(',').map(DatabaseName::new).collect();
    Ok(Some(names?))
}
