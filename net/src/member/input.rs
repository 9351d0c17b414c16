use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use litefs_core::node::{Event, StreamId};
use litefs_core::{DatabaseName, NodeId, Position};
use tokio::sync::mpsc;

use crate::body::BodySender;
use crate::downstream::FeedError;
use crate::route::Context;
use crate::subscribers::Subscription;

/// Something that a [`crate::Member`] is told.
pub(crate) enum Input {
    /// An answer to an effect.
    Event(Event),
    /// A replica wants to be sent transactions.
    Subscribe(Box<Subscribe>),
    /// The stream to a replica broke.
    Broken { stream: StreamId, error: FeedError },
}

/// A replica that wants to be sent transactions.
pub(crate) struct Subscribe {
    pub(crate) context: Arc<Context>,
    /// The replica.
    pub(crate) node: NodeId,
    /// Where its databases are.
    pub(crate) theirs: BTreeMap<DatabaseName, Position>,
    /// The databases it wants, or all.
    pub(crate) filter: Option<BTreeSet<DatabaseName>>,
    /// Where the frames go.
    pub(crate) body: BodySender,
    pub(crate) subscription: Subscription,
}

/// How the other tasks of a node reach its [`crate::Member`].
///
/// It has no limit of its own: there is one answer to each effect, and one stream for each connection.
#[derive(Clone, Debug)]
pub struct Inbox(mpsc::UnboundedSender<Input>);

impl Inbox {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Input>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Tells the member. False if it stopped.
    pub(crate) fn send(&self, input: Input) -> bool {
        self.0.send(input).is_ok()
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Event(event) => event.fmt(f),
            Self::Subscribe(to) => f.debug_tuple("Subscribe").field(&to.node).finish(),
            Self::Broken { stream, error } => f.debug_tuple("Broken").field(stream).field(error).finish(),
        }
    }
}
