use alloc::collections::{BTreeMap, BTreeSet};

use super::delivery::{Arrived, Delivery, Refusal};
use super::{LeaseReply, StreamId};
use crate::ltx::Header;
use crate::stream::Frame;
use crate::{ClusterId, DatabaseName, Position};

/// Something that happened to a node.
#[derive(Clone, Debug)]
pub enum Event {
    /// It is time: see [`super::Node::wake_ns`]. Can come at any other time as well.
    Tick,
    /// The node is to stop.
    Stop,
    /// The lease service answered the request with this number, or will not.
    Lease {
        /// Of [`super::Effect::Lease`].
        number: u64,
        /// The answer.
        reply: LeaseReply,
    },
    /// The databases are as [`super::Effect::TakeRole`] wants them.
    RoleTaken {
        /// Whether they are; otherwise nothing can be committed in them.
        ready: bool,
    },
    /// The cluster id is stored, or cannot be.
    ClusterStored(Option<ClusterId>),
    /// The durable position of a database moved.
    Durable {
        /// The database.
        database: DatabaseName,
        /// Where it is.
        position: Position,
    },
    /// The durable positions of all databases, dropped ones included, as [`super::Effect::LookAtPositions`] asks.
    Positions(BTreeMap<DatabaseName, Position>),
    /// A replica wants to be sent transactions.
    Subscribed {
        /// Where they are to go.
        stream: StreamId,
        /// Where its databases are.
        theirs: BTreeMap<DatabaseName, Position>,
        /// The databases it wants, or all.
        filter: Option<BTreeSet<DatabaseName>>,
        /// Where the databases of this node are.
        ours: BTreeMap<DatabaseName, Position>,
    },
    /// What [`super::Effect::Send`] wanted is on its way.
    Sent {
        /// The stream.
        stream: StreamId,
        /// What became of the LTX file in it.
        ltx: SentLtx,
    },
    /// The stream to a replica, or from the primary, is over.
    Ended {
        /// The stream.
        stream: StreamId,
        /// Whether that is what the other side wanted.
        orderly: bool,
    },
    /// The primary accepted the stream.
    Connected {
        /// The stream.
        stream: StreamId,
        /// The cluster of the primary, if it says.
        cluster: Option<ClusterId>,
    },
    /// A frame arrived that is not an LTX file.
    Frame {
        /// The stream.
        stream: StreamId,
        /// The frame.
        frame: Frame,
    },
    /// An LTX file arrives; its header is there.
    Header {
        /// The stream.
        stream: StreamId,
        /// The database.
        database: DatabaseName,
        /// The header.
        header: Header,
    },
    /// All of the LTX file arrived whose header was last.
    Body {
        /// The stream.
        stream: StreamId,
        /// What became of it.
        body: Body,
    },
    /// What [`super::Effect::Apply`] wanted is done.
    Applied {
        /// The LTX file.
        delivery: Delivery,
        /// Where the database is, or why it was not applied.
        outcome: Result<Position, Refusal>,
    },
}

/// What became of the LTX file in a message to a replica.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SentLtx {
    /// There was none.
    None,
    /// It was sent, and leads to this position.
    Sent(Position),
    /// The log does not have it.
    Missing,
}

/// What became of an LTX file that arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body {
    /// It was not wanted.
    Skipped,
    /// It is verified, and kept under the number that was asked for.
    Kept {
        /// The number.
        delivery: Delivery,
        /// What is in it.
        arrived: Arrived,
    },
    /// It could not be kept.
    Lost,
}
