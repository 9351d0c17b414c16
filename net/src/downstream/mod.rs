//! A stream to a replica.

mod chunked;
mod feed_error;
mod outgoing;
mod peer;

use std::sync::Arc;

use bytes::Bytes;
use litefs_core::NodeId;
use litefs_core::node::{Event, LtxToSend, SentLtx, StreamId};
use litefs_core::stream::{Frame, Sender};
use tokio::task::{AbortHandle, JoinHandle, spawn_blocking};
use tokio::time::interval;
use tracing::{info, warn};

pub(crate) use self::feed_error::FeedError;
use self::peer::Peer;
use crate::body::{Refused, SendError};
use crate::member::{Answer, Inbox, Input, Subscribe};
use crate::subscribers::Subscription;

/// A replica that follows this node.
///
/// It hears something each second: a heartbeat when it has everything, and while a transaction or snapshot is being looked
/// up [`LtxToSend::keep_alive`]. Only within an LTX file nothing can be put between, so a snapshot whose disk stalls is
/// silent, and the replica may give up and connect anew.
pub(crate) struct Downstream {
    stream: StreamId,
    node: NodeId,
    peer: Arc<Peer>,
    inbox: Inbox,
    /// The last message. True once it was sent; until then no other comes.
    message: Option<JoinHandle<bool>>,
    _watch: AbortOnDrop,
    _subscription: Subscription,
}

/// Ends a task.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Downstream {
    /// The stream of this number to whoever subscribed. What happens on it goes to `inbox`.
    pub(crate) fn new(stream: StreamId, to: Subscribe, inbox: Inbox) -> (Self, Event) {
        let Subscribe { context, node, theirs, filter, body, subscription } = to;
        let ours = context.host.positions();
        let peer = Arc::new(Peer::new(context, body));
        let watch = tokio::spawn(watch(stream, Arc::clone(&peer), inbox.clone()));
        let downstream = Self {
            stream,
            node,
            peer,
            inbox,
            message: None,
            _watch: AbortOnDrop(watch.abort_handle()),
            _subscription: subscription,
        };
        (downstream, Event::Subscribed { stream, theirs, filter, ours })
    }

    /// Sends a message. Returns the answer if that is known at once; otherwise it comes through the inbox.
    ///
    /// Does not wait for the replica.
    pub(crate) fn send(&mut self, frames: &[Frame], ltx: Option<LtxToSend>) -> Option<Event> {
        let mut out = Vec::new();
        for frame in frames {
            frame.encode(&mut out);
        }
        let (stream, peer) = (self.stream, Arc::clone(&self.peer));
        if let Some(ltx) = ltx {
            let answer = self.answer();
            self.message = Some(spawn_blocking(move || give(answer, stream, peer.send(out, &ltx))));
            return None;
        }
        match peer.body.try_send(Bytes::from(out)) {
            Ok(()) => return Some(Event::Sent { stream, ltx: SentLtx::None }),
            Err(Refused::Full(bytes)) => {
                let answer = self.answer();
                self.message = Some(tokio::spawn(async move {
                    let outcome = peer.body.send(bytes).await;
                    give(answer, stream, outcome.map(|()| SentLtx::None).map_err(FeedError::Send))
                }));
            }
            // The watch tells.
            Err(Refused::Closed) => {}
        }
        None
    }

    /// Ends the stream as it should end if it can be.
    pub(crate) fn finish(mut self) {
        self.peer.interrupt();
        let reason = if self.peer.context.stop.is_stopped() {
            "this node stops"
        } else {
            "this node is not primary any more"
        };
        tokio::spawn(async move {
            if let Some(message) = self.message.take()
                && !message.await.unwrap_or(false)
            {
                warn!("stream disconnected ({}): {reason}, within a transaction", self.node);
                return;
            }
            let mut out = Vec::new();
            Frame::End.encode(&mut out);
            // If the peer is gone, an end and a cut make no difference to it.
            let _ = self.peer.body.send(Bytes::from(out)).await;
            self.peer.body.clone().finish().await;
            info!("stream disconnected ({}): {reason}", self.node);
        });
    }

    /// The stream is over. What was not sent is cut off.
    pub(crate) fn broke(self, error: &FeedError) {
        match error {
            FeedError::Send(SendError::Closed) => info!("stream disconnected ({})", self.node),
            error => warn!("stream disconnected ({}): {error}", self.node),
        }
    }

    fn answer(&self) -> Answer {
        let failed = Input::Broken { stream: self.stream, error: FeedError::Panic };
        Answer::new(self.inbox.clone(), "sending to a replica", failed)
    }
}

/// Tells what a message came to. Returns whether it was sent.
fn give(answer: Answer, stream: StreamId, outcome: Result<SentLtx, FeedError>) -> bool {
    let sent = outcome.is_ok();
    answer.give(match outcome {
        Ok(ltx) => Input::Event(Event::Sent { stream, ltx }),
        Err(error) => Input::Broken { stream, error },
    });
    sent
}

/// Tells when the replica is gone, and keeps it from giving up.
async fn watch(stream: StreamId, peer: Arc<Peer>, inbox: Inbox) {
    let mut ticks = interval(Sender::HEARTBEAT_INTERVAL);
    loop {
        tokio::select! {
            () = peer.body.closed() => {
                inbox.send(Input::Broken { stream, error: FeedError::Send(SendError::Closed) });
                return;
            }
            _ = ticks.tick() => peer.keep_alive(),
        }
    }
}
