//! Who is primary.

mod static_lease;

use litefs_core::node::{LeaseReply, LeaseRequest};

pub use static_lease::StaticLease;

use crate::HandoffError;

/// A service that lets one node of a cluster be primary at a time.
pub trait Lease: Send + Sync + 'static {
    /// Its name in the configuration.
    fn kind(&self) -> &'static str;

    /// Answers a request, or fails. It is given up if it takes too long.
    fn ask(&self, request: LeaseRequest) -> impl Future<Output = Result<LeaseReply, LeaseError>> + Send;

    /// Passes the role of the primary to another node.
    fn handoff(&self) -> Result<(), HandoffError>;
}

/// The lease service failed.
#[derive(Debug, thiserror::Error)]
#[error("{kind} lease: {reason}")]
pub struct LeaseError {
    /// The service's name in the configuration.
    pub kind: &'static str,
    /// What it said.
    pub reason: String,
}
