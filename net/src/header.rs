//! Names of the HTTP headers of LiteFS.

use http::{HeaderMap, HeaderName};
use litefs_core::NodeId;

/// The node that sends the message.
pub(crate) const ID: HeaderName = HeaderName::from_static("litefs-id");
/// The cluster of the node that replies, if it knows.
pub(crate) const CLUSTER_ID: HeaderName = HeaderName::from_static("litefs-cluster-id");

/// The node a request comes from, or [`NodeId::ZERO`] if it does not say.
pub(crate) fn sender(headers: &HeaderMap) -> NodeId {
    headers
        .get(ID)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .unwrap_or(NodeId::ZERO)
}
