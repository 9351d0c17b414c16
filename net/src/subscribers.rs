use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use litefs_core::NodeId;

/// The nodes that follow this one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subscribers(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    nodes: BTreeMap<u64, NodeId>,
}

/// The entry of one stream. Dropping it removes the entry.
#[derive(Debug)]
pub(crate) struct Subscription {
    subscribers: Subscribers,
    number: u64,
}

impl Subscribers {
    /// Adds a stream to this node.
    pub(crate) fn add(&self, node: NodeId) -> Subscription {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        inner.nodes.insert(number, node);
        Subscription { subscribers: self.clone(), number }
    }

    /// The node at the other end of each stream, in the order in which they connected.
    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.lock().nodes.values().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is a single insertion or removal, so a panic elsewhere cannot have left it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.subscribers.lock().nodes.remove(&self.number);
    }
}
