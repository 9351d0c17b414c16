use super::Role;

/// What the node is about to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// To ask the lease service at this time, in nanoseconds.
    Waiting { until_ns: u64 },
    /// To compare the cluster of the lease service with its own.
    Comparing,
    /// To find the primary or become it.
    Finding,
    /// To become primary, once what the primary before it sent is applied.
    Draining,
    /// To become primary, once the lease service belongs to its cluster.
    Claiming,
    /// To become primary, once its cluster is stored.
    Founding,
    /// To have this role, once the databases are in a state that suits it.
    Taking(Role),
    /// To stay primary.
    Primary,
    /// To give the lease back.
    Releasing,
    /// To follow the primary.
    Following,
    /// Nothing any more.
    Stopped,
}
