use std::future::pending;

use litefs_core::ClusterId;

use super::{Found, Lease, LeaseError};
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

    async fn cluster_id(&self) -> Result<Option<ClusterId>, LeaseError> {
        Ok(None)
    }

    async fn find_or_acquire(&self) -> Result<Found, LeaseError> {
        Ok(self.primary.clone().map_or(Found::Acquired, Found::Primary))
    }

    async fn lost(&self) {
        pending().await
    }

    async fn release(&self) -> Result<(), LeaseError> {
        Ok(())
    }

    fn handoff(&self) -> Result<(), HandoffError> {
        Err(HandoffError::Unsupported { kind: self.kind() })
    }
}
