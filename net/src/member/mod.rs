//! The node as a member of its cluster.

mod answer;
mod changes;
mod input;
mod performer;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use litefs_core::DatabaseName;
use litefs_core::node::{Event, Node, Options, drive};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

pub(crate) use self::answer::Answer;
pub use self::input::Inbox;
pub(crate) use self::input::{Input, Subscribe};
use self::performer::Performer;
use crate::{Host, Lease, Stop};

/// Keeps a node in its cluster: it is primary while the lease says so, and follows the primary otherwise.
///
/// All of that is decided by [`Node`]. This is the one task that tells it what happens and does what it says.
pub struct Member<L> {
    host: Arc<dyn Host>,
    node: Node,
    performer: Performer<L>,
    inbox: Inbox,
    inputs: mpsc::UnboundedReceiver<Input>,
    /// When the node wants to be told the time, in nanoseconds.
    wake_ns: Option<u64>,
}

impl<L: Lease> Member<L> {
    /// A node that replicates these databases, or all, and tries again after about `reconnect_delay` whenever something
    /// fails.
    pub fn new(host: Arc<dyn Host>, lease: L, databases: &[DatabaseName], reconnect_delay: Duration) -> Self {
        let identity = host.identity();
        let seed = RandomState::new().build_hasher().finish();
        let options = Options { node_id: identity.node_id, reconnect_delay, seed };
        let (inbox, inputs) = Inbox::new();
        Self {
            node: Node::new(options, identity.cluster_id),
            performer: Performer::new(Arc::clone(&host), lease, databases, inbox.clone()),
            host,
            inbox,
            inputs,
            wake_ns: None,
        }
    }

    /// Where the [`crate::Server`] of this node tells of replicas.
    pub fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }

    /// Runs until it is told to stop. Then no transaction is being applied any more, and the lease is released.
    pub async fn run(mut self, stop: Stop) {
        let stopped = stop.stopped();
        let timer = sleep(Duration::ZERO);
        tokio::pin!(stopped, timer);
        let (mut stopping, mut armed_ns) = (false, None);
        self.tell(Event::Tick);
        while !self.performer.is_stopped() {
            if self.wake_ns != armed_ns {
                armed_ns = self.wake_ns;
                if let Some(wake_ns) = armed_ns {
                    let left = wake_ns.saturating_sub(self.host.now().monotonic_ns);
                    timer.as_mut().reset(Instant::now() + Duration::from_nanos(left));
                }
            }
            tokio::select! {
                () = &mut stopped, if !stopping => {
                    stopping = true;
                    self.tell(Event::Stop);
                }
                Some(input) = self.inputs.recv() => self.take(input),
                event = self.performer.upstream.next() => self.tell(event),
                change = self.performer.changes.next() => match change {
                    Ok((database, position)) => self.tell(Event::Durable { database, position }),
                    Err(RecvError::Lagged(_)) => self.tell_positions(),
                    Err(RecvError::Closed) => self.performer.changes.close(),
                },
                () = &mut timer, if armed_ns.is_some() => {
                    armed_ns = None;
                    self.tell(Event::Tick);
                }
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Event(event) => self.tell(event),
            Input::Subscribe(to) => {
                let stream = self.node.new_stream();
                let event = self.performer.subscribed(stream, *to);
                self.tell(event);
            }
            Input::Broken { stream, error } => {
                self.performer.broke(stream, &error);
                self.tell(Event::Ended { stream, orderly: false });
            }
        }
    }

    fn tell_positions(&mut self) {
        for (database, position) in self.host.positions() {
            self.tell(Event::Durable { database, position });
        }
    }

    /// Tells the node what happened, and then what is answered at once.
    fn tell(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next {
            self.wake_ns = drive(&mut self.node, event, self.host.now(), &mut self.performer);
            next = self.performer.next_answer();
        }
    }
}

impl<L> std::fmt::Debug for Member<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("node", &self.node).finish_non_exhaustive()
    }
}
