use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::delivery::{Application, Delivery};
use super::note::Note;
use super::{LeaseRequest, PrimaryInfo, Role, StreamId};
use crate::database::Authority;
use crate::stream::Frame;
#[cfg(doc)]
use crate::stream::Sender;
use crate::{Checksum, ClusterId, DatabaseName, Position, Txid};

/// Something to do for a node. What has an answer is answered by an event, always and once.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the lease service. Answer: [`super::Event::Lease`].
    Lease {
        /// The number of the request.
        number: u64,
        /// The request.
        request: LeaseRequest,
    },
    /// Bring the databases into a state that suits a role. Answer: [`super::Event::RoleTaken`].
    TakeRole {
        /// The role.
        role: Role,
        /// Whether transactions may be committed.
        authority: Authority,
    },
    /// The databases of this primary may commit until a later moment. Those that may not commit at all still may not. No
    /// answer.
    Authorize(Authority),
    /// Remember durably which cluster this node belongs to: the one it knows already, otherwise this one. Answer:
    /// [`super::Event::ClusterStored`].
    StoreCluster(ClusterId),
    /// Tell the positions. Answer: [`super::Event::Positions`].
    LookAtPositions,
    /// Connect to the primary. Answer: [`super::Event::Connected`] or [`super::Event::Ended`].
    Connect {
        /// The number of the stream from now on.
        stream: StreamId,
        /// The primary.
        primary: PrimaryInfo,
        /// The positions to announce.
        announce: BTreeMap<DatabaseName, Position>,
    },
    /// Read the next frame. Answer: [`super::Event::Frame`], [`super::Event::Header`] or [`super::Event::Ended`].
    Read(StreamId),
    /// Read the rest of an LTX file, verify it and keep it under this number; without one, forget it. Answer:
    /// [`super::Event::Body`] or [`super::Event::Ended`].
    ReadBody {
        /// The stream.
        stream: StreamId,
        /// Where to keep it.
        keep: Option<Delivery>,
    },
    /// Close a stream that this node reads. No answer.
    Close(StreamId),
    /// Apply an LTX file, and forget its bytes. Answer: [`super::Event::Applied`].
    Apply(Application),
    /// Forget an LTX file that was kept.
    Discard(Delivery),
    /// Send to a replica. Answer: [`super::Event::Sent`] or [`super::Event::Ended`].
    Send {
        /// The stream.
        stream: StreamId,
        /// Frames to send.
        frames: Vec<Frame>,
        /// An LTX file to send after them, with what [`LtxToSend::followed_by`].
        ltx: Option<LtxToSend>,
    },
    /// End the stream to a replica with [`Frame::End`], after what is on its way. An LTX file that takes long is not waited
    /// for: the stream is cut off within it. No answer.
    Finish(StreamId),
    /// This node has had everything its primary has, or is primary. It stays ready from now on.
    Ready,
    /// This node had everything the primary had at this time of the primary's clock, in milliseconds since the Unix epoch.
    CaughtUp {
        /// The time.
        primary_ms: i64,
    },
    /// Something for the operator to read.
    Note(Note),
    /// The node has stopped: nothing is being applied and the lease is given back.
    Stopped,
}

/// An LTX file to send to a replica.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LtxToSend {
    /// The transaction after the replica's position.
    Transaction {
        /// The database.
        database: DatabaseName,
        /// The transaction.
        txid: Txid,
        /// The checksum it must build on; with another, the log does not have it.
        pre_apply: Checksum,
    },
    /// The whole database.
    Snapshot {
        /// The database.
        database: DatabaseName,
    },
}

impl LtxToSend {
    /// The database.
    pub fn database(&self) -> &DatabaseName {
        match self {
            Self::Transaction { database, .. } | Self::Snapshot { database } => database,
        }
    }

    /// What is sent right after it: the high-water mark after a transaction. Nothing is in a backup, which is also news.
    pub fn followed_by(&self) -> Option<Frame> {
        match self {
            Self::Transaction { .. } => Some(self.keep_alive()),
            Self::Snapshot { .. } => None,
        }
    }

    /// What to send each [`Sender::HEARTBEAT_INTERVAL`] while it is being looked up, so that the replica hears something.
    /// It changes nothing there.
    pub fn keep_alive(&self) -> Frame {
        Frame::HighWater { txid: Txid::ZERO, database: self.database().clone() }
    }
}
