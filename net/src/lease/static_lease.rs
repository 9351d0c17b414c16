use litefs_core::node::{LeaseReply, LeaseRequest};

use super::{Lease, LeaseError};
use crate::{HandoffError, PrimaryInfo};

/// The role of the primary as the configuration says, for ever.
#[derive(Clone, Debug)]
pub struct StaticLease {
    /// The primary, if that is another node.
    primary: Option<PrimaryInfo>,
}

impl StaticLease {
    /// This node is the primary.
    pub fn primary() -> Self {
        Self { primary: None }
    }

    /// The primary is this node.
    pub fn replica_of(primary: PrimaryInfo) -> Self {
        Self { primary: Some(primary) }
    }
}

impl Lease for StaticLease {
    fn kind(&self) -> &'static str {
        "static"
    }

    async fn ask(&self, request: LeaseRequest) -> Result<LeaseReply, LeaseError> {
        Ok(match (request, &self.primary) {
            (LeaseRequest::ClusterId, _) => LeaseReply::Cluster(None),
            (LeaseRequest::Claim(id), _) => LeaseReply::Cluster(Some(id)),
            (LeaseRequest::FindOrAcquire, Some(primary)) => LeaseReply::Primary(primary.clone()),
            (LeaseRequest::Renew, Some(_)) => LeaseReply::Lost,
            (LeaseRequest::FindOrAcquire | LeaseRequest::Renew, None) => LeaseReply::Held { ttl: None },
            (LeaseRequest::Release, _) => LeaseReply::Released,
        })
    }

    fn handoff(&self) -> Result<(), HandoffError> {
        Err(HandoffError::Unsupported { kind: self.kind() })
    }
}
