//! `/events`: what happens on this node, one line of JSON each, without end.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use tokio::sync::broadcast::error::RecvError;
use tracing::{info, warn};

use super::Context;
use crate::Event;
use crate::body::{BodySender, MessageBody};
use crate::reply::{Reply, internal_error};

pub(super) fn events(context: &Context) -> Reply {
    // Subscribed before the role is read, so that no change of it falls between.
    let events = context.host.events();
    let first = match Event::first_line(&context.host.standing().borrow().role) {
        Ok(line) => line,
        Err(error) => return internal_error(&error.to_string()),
    };
    let (sender, body) = MessageBody::pieces(None, context.limits.stall_timeout);
    let stop = context.stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = stop.stopped() => sender.finish().await,
            () = sender.closed() => (),
            () = relay(events, &sender, first) => (),
        }
    });
    let mut reply = Response::new(body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// Sends events until the peer cannot keep up.
async fn relay(mut events: tokio::sync::broadcast::Receiver<Event>, sender: &BodySender, first: String) {
    let mut line = first;
    loop {
        if let Err(error) = sender.send(Bytes::from(line)).await {
            info!(%error, "event stream ended");
            return;
        }
        line = match events.recv().await {
            Ok(event) => match event.line() {
                Ok(line) => line,
                Err(error) => {
                    warn!(%error, "cannot write event");
                    return;
                }
            },
            Err(RecvError::Lagged(_)) => {
                warn!("http: event stream buffer exceeded, disconnecting");
                return;
            }
            Err(RecvError::Closed) => return,
        };
    }
}
