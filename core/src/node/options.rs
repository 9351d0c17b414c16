use core::time::Duration;

use crate::NodeId;

/// What a node is told once.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// This node, as it is named in the LTX files it creates.
    pub node_id: NodeId,
    /// About how long to wait before something that failed is tried again.
    pub reconnect_delay: Duration,
    /// What the delays of this node are spread with. Nodes of a cluster have different ones.
    pub seed: u64,
}
