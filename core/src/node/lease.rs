//! What a node asks a lease service, and what that says.

use alloc::string::String;
use core::time::Duration;

use super::PrimaryInfo;
use crate::ClusterId;

/// Something to ask the lease service. One request is under way at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LeaseRequest {
    /// Which cluster uses the service?
    ClusterId,
    /// Who is primary? If nobody is and this node may, it is from now on.
    FindOrAcquire,
    /// The service belongs to this cluster, unless it belongs to one already. Only the primary asks so.
    Claim(ClusterId),
    /// This node goes on being primary.
    Renew,
    /// This node is not primary any more.
    Release,
}

/// What the lease service says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LeaseReply {
    /// The cluster that the service belongs to, if it remembers one.
    Cluster(Option<ClusterId>),
    /// This node is primary, for this long from when it *sent* the request, or for ever.
    Held {
        /// Time to live.
        ttl: Option<Duration>,
    },
    /// Another node is primary.
    Primary(PrimaryInfo),
    /// There is no primary, and this node is not a candidate.
    NoPrimary,
    /// The role was lost: it expired, or the service forgot it.
    Lost,
    /// The role was given back.
    Released,
    /// The service did not answer, or not in time, or with an error. Whether it did what was asked is not known.
    Failed(String),
}
