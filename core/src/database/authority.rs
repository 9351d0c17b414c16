/// Whether transactions may be committed on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Not here: this node follows a primary, or has none.
    ReadOnly,
    /// Until this moment of the monotonic clock, in nanoseconds.
    Until(u64),
    /// Always: a lease that cannot expire.
    Forever,
}
