use alloc::string::String;

use super::PrimaryInfo;
use crate::stream::{PositionMismatch, Unappliable};
use crate::{ClusterId, DatabaseName, Position, Txid};

/// Something for the operator to read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Note {
    /// The lease service failed.
    #[error("cannot ask for the primary: {0}")]
    LeaseFailed(String),
    /// The lease service belongs to another cluster.
    #[error("cannot connect, lease already initialized with different ID: {theirs}, this node has {ours}")]
    OtherLease {
        /// The cluster of the service.
        theirs: ClusterId,
        /// The cluster of this node.
        ours: ClusterId,
    },
    /// The lease service belongs to this node's cluster from now on.
    #[error("set cluster id on the lease {:?}", .0.as_str())]
    Claimed(ClusterId),
    /// There is no primary.
    #[error("cannot find primary & ineligible to become primary, retrying")]
    NoPrimary,
    /// The role of the primary is this node's.
    #[error("primary lease acquired")]
    Acquired,
    /// The role of the primary is lost.
    #[error("primary lease lost")]
    Lost,
    /// A renewal failed; the lease runs on for a while.
    #[error("cannot renew the primary lease: {reason}; writes go on for {} ms", left_ns / 1_000_000)]
    NotRenewed {
        /// What the service said.
        reason: String,
        /// Nanoseconds until the lease runs out.
        left_ns: u64,
    },
    /// This node is about to follow.
    #[error("existing primary found ({}), connecting as replica to {:?}", .0.hostname, .0.url)]
    Following(PrimaryInfo),
    /// The stream is there.
    #[error("connected to {url:?}")]
    Connected {
        /// Of the primary.
        url: String,
    },
    /// This node joined a cluster.
    #[error("adopted cluster id {:?}", .0.as_str())]
    Adopted(ClusterId),
    /// The primary belongs to another cluster.
    #[error(
        "cannot stream from primary with a different cluster id: the primary has {}, this node has {ours}",
        theirs.as_ref().map_or("none", |id| id.as_str())
    )]
    OtherCluster {
        /// The cluster of the primary.
        theirs: Option<ClusterId>,
        /// The cluster of this node.
        ours: ClusterId,
    },
    /// The cluster id cannot be stored.
    #[error("cannot store the cluster id")]
    ClusterNotStored,
    /// The primary ended the stream.
    #[error("disconnected from primary, retrying")]
    Disconnected,
    /// A transaction does not follow the position of its database.
    #[error("position mismatch on db {:?}: {mismatch}", database.as_str())]
    PositionMismatch {
        /// The database.
        database: DatabaseName,
        /// Where it is, and where it would have to be.
        mismatch: PositionMismatch,
    },
    /// A snapshot arrives for a database that has something.
    #[error("receiving a snapshot of {database} at transaction {txid}, which replaces what is at {local}")]
    Replacing {
        /// The database.
        database: DatabaseName,
        /// Where it is.
        local: Position,
        /// The last transaction of the snapshot.
        txid: Txid,
    },
    /// A transaction makes no sense.
    #[error("transaction of {database} was not applied: {reason}")]
    Unappliable {
        /// The database.
        database: DatabaseName,
        /// Why.
        reason: Unappliable,
    },
    /// Transactions of a database wait for too long.
    #[error("transactions of {database} wait for too long to be applied, fetching them again later")]
    Stuck {
        /// The database.
        database: DatabaseName,
    },
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Weight {
    /// As expected.
    Info,
    /// Something failed and is tried again.
    Warning,
    /// A person has to do something.
    Error,
}

impl Note {
    /// How much it matters.
    pub fn weight(&self) -> Weight {
        match self {
            Self::Claimed(_)
            | Self::NoPrimary
            | Self::Acquired
            | Self::Following(_)
            | Self::Connected { .. }
            | Self::Adopted(_)
            | Self::Disconnected
            | Self::Replacing { .. } => Weight::Info,
            Self::LeaseFailed(_)
            | Self::Lost
            | Self::NotRenewed { .. }
            | Self::PositionMismatch { .. }
            | Self::Unappliable { .. }
            | Self::Stuck { .. } => Weight::Warning,
            Self::OtherLease { .. } | Self::OtherCluster { .. } | Self::ClusterNotStored => Weight::Error,
        }
    }
}
