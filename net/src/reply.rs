//! Replies of the server.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Response, StatusCode};
use serde::Serialize;

use crate::body::MessageBody;

pub(crate) type Reply = Response<MessageBody>;

/// 200 with a body of this type.
pub(crate) fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(MessageBody::whole(body));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// 200 without a body.
pub(crate) fn done() -> Reply {
    Response::new(MessageBody::Whole(None))
}

/// 200 with indented JSON and a line feed.
pub(crate) fn json(value: &impl Serialize) -> Reply {
    match serde_json::to_vec_pretty(value) {
        Ok(mut text) => {
            text.push(b'\n');
            ok("application/json", text)
        }
        Err(error) => error_reply(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// An error, with its reason as the body.
pub(crate) fn error_reply(status: StatusCode, reason: &str) -> Reply {
    let mut reply = ok("text/plain; charset=utf-8", format!("{reason}\n"));
    *reply.status_mut() = status;
    reply.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

/// 400 with this reason.
pub(crate) fn bad_request(reason: &str) -> Reply {
    error_reply(StatusCode::BAD_REQUEST, reason)
}

/// 500 with this reason.
pub(crate) fn internal_error(reason: &str) -> Reply {
    error_reply(StatusCode::INTERNAL_SERVER_ERROR, reason)
}

/// 404 for a path that does not exist.
pub(crate) fn not_found() -> Reply {
    error_reply(StatusCode::NOT_FOUND, "404 page not found")
}

/// 405 for a path that exists with another method.
pub(crate) fn method_not_allowed(allowed: &Method) -> Reply {
    let mut reply = error_reply(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    if let Ok(allowed) = HeaderValue::from_str(allowed.as_str()) {
        reply.headers_mut().insert(ALLOW, allowed);
    }
    reply
}
