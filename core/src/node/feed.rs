use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::effect::LtxToSend;
use super::event::SentLtx;
use super::{Effect, StreamId};
use crate::stream::{Action, Frame, Sender};
use crate::{DatabaseName, Now, Position};

/// What a primary sends to one replica, one message at a time.
#[derive(Debug)]
pub(super) struct Feed {
    sender: Sender,
    /// A message is on its way, and the database in it if there is an LTX file.
    busy: bool,
    database: Option<DatabaseName>,
    /// When there is something to send although nothing changes, in nanoseconds.
    wake_ns: Option<u64>,
}

impl Feed {
    /// To a replica that announced `theirs`.
    pub(super) fn new(
        theirs: BTreeMap<DatabaseName, Position>,
        ours: BTreeMap<DatabaseName, Position>,
        filter: Option<BTreeSet<DatabaseName>>,
    ) -> Self {
        Self { sender: Sender::new(theirs, ours, filter), busy: false, database: None, wake_ns: None }
    }

    /// A database of this node moved.
    pub(super) fn changed(&mut self, database: DatabaseName, position: Position) {
        self.sender.changed(database, position);
    }

    /// The message is on its way.
    pub(super) fn sent(&mut self, ltx: SentLtx) {
        self.busy = false;
        match (self.database.take(), ltx) {
            (Some(database), SentLtx::Sent(position)) => self.sender.sent(database, position),
            (Some(database), SentLtx::Missing) => self.sender.missing(database),
            (_, SentLtx::None) | (None, _) => {}
        }
    }

    /// The next message, if there is something to say and the one before is on its way.
    pub(super) fn next(&mut self, stream: StreamId, now: Now) -> Option<Effect> {
        if self.busy {
            return None;
        }
        self.wake_ns = None;
        let mut frames = Vec::new();
        let ltx = loop {
            match self.sender.next(now) {
                Action::DropUnknown { database } => frames.push(Frame::DropDatabase { database }),
                Action::Ready => frames.push(Frame::Ready),
                Action::Heartbeat { timestamp_ms } => frames.push(Frame::Heartbeat { timestamp_ms }),
                Action::Transaction { database, txid, pre_apply } => {
                    break Some(LtxToSend::Transaction { database, txid, pre_apply });
                }
                Action::Snapshot { database } => break Some(LtxToSend::Snapshot { database }),
                Action::Wait { until_ns } => {
                    self.wake_ns = Some(until_ns);
                    break None;
                }
            }
        };
        if frames.is_empty() && ltx.is_none() {
            return None;
        }
        self.busy = true;
        self.database = ltx.as_ref().map(|ltx| ltx.database().clone());
        Some(Effect::Send { stream, frames, ltx })
    }

    /// When there is something to send although nothing changes, in nanoseconds.
    pub(super) fn wake_ns(&self) -> Option<u64> {
        self.wake_ns.filter(|_| !self.busy)
    }
}
