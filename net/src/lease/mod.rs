//! Who is primary.

mod static_lease;

use litefs_core::ClusterId;

pub use static_lease::StaticLease;

use crate::{HandoffError, PrimaryInfo};

/// A service that lets one node of a cluster be primary at a time.
pub trait Lease: Send + Sync + 'static {
    /// Its name in the configuration.
    fn kind(&self) -> &'static str;

    /// The cluster that uses the service, if it remembers one.
    fn cluster_id(&self) -> impl Future<Output = Result<Option<ClusterId>, LeaseError>> + Send;

    /// Finds the primary, or takes its role if there is none and this node may.
    fn find_or_acquire(&self) -> impl Future<Output = Result<Found, LeaseError>> + Send;

    /// Returns when the role of the primary, which this node holds, is lost. Can be dropped at any time.
    fn lost(&self) -> impl Future<Output = ()> + Send;

    /// Gives the role of the primary back, so that another node can take it at once.
    fn release(&self) -> impl Future<Output = Result<(), LeaseError>> + Send;

    /// Passes the role of the primary to another node.
    fn handoff(&self) -> Result<(), HandoffError>;
}

/// What a node found when it asked for the primary.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// This node is primary now.
    Acquired,
    /// This node is the primary's replica.
    Primary(PrimaryInfo),
    /// There is none, and this node is not a candidate.
    NoPrimary,
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
