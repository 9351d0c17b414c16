use std::sync::{Arc, Mutex};
use std::time::Duration;

use litefs_core::node::{LeaseReply, LeaseRequest};
use litefs_net::{HandoffError, Lease, LeaseError};

/// How long the lease is granted for. It is renewed after a third of it.
const TTL: Duration = Duration::from_secs(3);

/// A lease service with one node, which is primary or nobody is.
#[derive(Clone)]
pub(crate) struct FakeLease(Arc<Mutex<bool>>);

impl FakeLease {
    pub(crate) fn new(granted: bool) -> Self {
        Self(Arc::new(Mutex::new(granted)))
    }

    pub(crate) fn grant(&self, granted: bool) {
        *self.0.lock().unwrap() = granted;
    }

    pub(crate) fn is_granted(&self) -> bool {
        *self.0.lock().unwrap()
    }
}

impl Lease for FakeLease {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn ask(&self, request: LeaseRequest) -> Result<LeaseReply, LeaseError> {
        Ok(match request {
            LeaseRequest::ClusterId => LeaseReply::Cluster(None),
            LeaseRequest::Claim(id) => LeaseReply::Cluster(Some(id)),
            LeaseRequest::Release => LeaseReply::Released,
            LeaseRequest::FindOrAcquire | LeaseRequest::Renew if self.is_granted() => {
                LeaseReply::Held { ttl: Some(TTL) }
            }
            LeaseRequest::FindOrAcquire => LeaseReply::NoPrimary,
            LeaseRequest::Renew => LeaseReply::Lost,
        })
    }

    fn handoff(&self) -> Result<(), HandoffError> {
        Err(HandoffError::Unsupported { kind: self.kind() })
    }
}
