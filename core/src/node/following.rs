use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::apply_queue::{ApplyQueue, Item, Mark};
use super::delivery::{Delivery, Refusal, Replaces};
use super::event::Body;
use super::{Effect, Note, PrimaryInfo, StreamId};
use crate::ltx::Header;
use crate::stream::{Admission, Frame, Receiver};
use crate::{ClusterId, DatabaseName, NodeId, Now, Position};

/// The replica's side of a stream: what to read, what to keep, and in which order it is applied.
///
/// What was received and is still being applied outlives a stream, so a database that is slow does not delay
/// reconnecting for the others.
#[derive(Debug)]
pub(super) struct Following {
    receiver: Receiver,
    queue: ApplyQueue,
    last_delivery: u64,
    stream: Option<Stream>,
}

#[derive(Debug)]
struct Stream {
    id: StreamId,
    primary: PrimaryInfo,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The positions are being looked at. These databases are being applied to, and will be here.
    Announcing { under_way: BTreeMap<DatabaseName, Position> },
    /// The primary is asked.
    Connecting,
    /// The primary's cluster is being stored.
    Joining { theirs: ClusterId },
    /// The next frame is awaited.
    Reading,
    /// The rest of an LTX file is awaited, which is to be applied.
    Keeping { database: DatabaseName, header: Header, replaces: Option<Replaces> },
    /// The rest of an LTX file is awaited, which nobody needs.
    Skipping,
    /// There is no room for what arrived.
    HeldUp,
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// The primary ended it, or it failed: connect again after a while.
    Disconnected,
    /// Something that was dropped can now be fetched: connect again at once.
    Refetch,
}

impl Following {
    pub(super) fn new(node: NodeId) -> Self {
        Self { receiver: Receiver::new(node), queue: ApplyQueue::default(), last_delivery: 0, stream: None }
    }

    /// Begins a stream from `primary`.
    pub(super) fn begin(&mut self, id: StreamId, primary: PrimaryInfo, out: &mut Vec<Effect>) {
        // Before the positions are looked at: what is applied between the two is announced where it is going to be.
        let (under_way, need_snapshot) = self.queue.restart(out);
        for database in &need_snapshot {
            self.receiver.request_snapshot(database);
        }
        self.stream = Some(Stream { id, primary, state: State::Announcing { under_way } });
        out.push(Effect::LookAtPositions);
    }

    /// Closes the stream. What arrived is still applied.
    pub(super) fn close(&mut self, out: &mut Vec<Effect>) {
        if let Some(stream) = self.stream.take()
            && !matches!(stream.state, State::Announcing { .. })
        {
            out.push(Effect::Close(stream.id));
        }
    }

    /// Drops what waits to be applied.
    pub(super) fn drop_waiting(&mut self, out: &mut Vec<Effect>) {
        self.queue.drop_waiting(out);
    }

    /// Whether nothing is being applied.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_idle()
    }

    /// The positions of all databases: announces where they are once everything that was received is applied.
    pub(super) fn positions(
        &mut self,
        mut positions: BTreeMap<DatabaseName, Position>,
        out: &mut Vec<Effect>,
    ) {
        let Some(stream) = &mut self.stream else { return };
        let State::Announcing { under_way } = &mut stream.state else { return };
        positions.append(under_way);
        stream.state = State::Connecting;
        let announce = self.receiver.connect(positions);
        out.push(Effect::Connect { stream: stream.id, primary: stream.primary.clone(), announce });
    }

    /// The primary accepted. A node that knows its cluster, `ours`, follows nobody else; one that does not joins that of
    /// the primary.
    pub(super) fn connected(
        &mut self,
        id: StreamId,
        theirs: Option<ClusterId>,
        ours: Option<ClusterId>,
        out: &mut Vec<Effect>,
    ) -> Option<End> {
        let stream = self.stream.as_mut().filter(|stream| stream.id == id)?;
        match (theirs, ours) {
            (theirs, Some(ours)) if theirs != Some(ours) => {
                out.push(Effect::Note(Note::OtherCluster { theirs, ours }));
                return Some(End::Disconnected);
            }
            (Some(theirs), None) => {
                stream.state = State::Joining { theirs };
                out.push(Effect::StoreCluster(theirs));
            }
            _ => self.read_first(out),
        }
        None
    }

    /// This node belongs to this cluster from now on, or does not know because nothing can be stored.
    pub(super) fn cluster_stored(&mut self, ours: Option<ClusterId>, out: &mut Vec<Effect>) -> Option<End> {
        let State::Joining { theirs } = self.stream.as_ref()?.state else { return None };
        match ours {
            Some(ours) if ours == theirs => {
                out.push(Effect::Note(Note::Adopted(ours)));
                self.read_first(out);
                None
            }
            // Another primary, whose stream is over by now, was quicker.
            Some(ours) => {
                out.push(Effect::Note(Note::OtherCluster { theirs: Some(theirs), ours }));
                Some(End::Disconnected)
            }
            None => {
                out.push(Effect::Note(Note::ClusterNotStored));
                Some(End::Disconnected)
            }
        }
    }

    fn read_first(&mut self, out: &mut Vec<Effect>) {
        if let Some(stream) = &self.stream {
            out.push(Effect::Note(Note::Connected { url: stream.primary.url.clone() }));
        }
        self.read(out);
    }

    fn read(&mut self, out: &mut Vec<Effect>) {
        let Some(stream) = &mut self.stream else { return };
        stream.state = State::Reading;
        out.push(Effect::Read(stream.id));
    }

    /// A frame arrived that is not an LTX file.
    pub(super) fn frame(&mut self, id: StreamId, frame: &Frame, out: &mut Vec<Effect>) -> Option<End> {
        self.current(id)?;
        match frame {
            Frame::Ready => self.queue.mark(Mark::Ready, out),
            Frame::Heartbeat { timestamp_ms } => self.queue.mark(Mark::CaughtUp(*timestamp_ms), out),
            // High-water marks matter to nodes with a backup of their own. That a database is unknown to the primary is no
            // reason to give it up.
            Frame::HighWater { .. } | Frame::DropDatabase { .. } => {}
            Frame::Handoff { .. } | Frame::End | Frame::Ltx { .. } => return Some(End::Disconnected),
        }
        self.read(out);
        None
    }

    /// An LTX file arrives.
    pub(super) fn header(
        &mut self,
        id: StreamId,
        database: DatabaseName,
        header: Header,
        out: &mut Vec<Effect>,
    ) -> Option<End> {
        self.current(id)?;
        let mut keep = None;
        let mut state = State::Skipping;
        if !self.queue.is_detached(&database) {
            let replaces = match self.receiver.begin(&database, &header) {
                Admission::Apply => Some(None),
                Admission::Replace { local, diverged } => {
                    let txid = header.max_txid;
                    out.push(Effect::Note(Note::Replacing { database: database.clone(), local, txid }));
                    Some(Some(Replaces { local, diverged }))
                }
                Admission::Skip => None,
                Admission::Reconnect(mismatch) => {
                    out.push(Effect::Note(Note::PositionMismatch { database, mismatch }));
                    return Some(End::Disconnected);
                }
            };
            if let Some(replaces) = replaces {
                self.last_delivery += 1;
                keep = Some(Delivery(self.last_delivery));
                state = State::Keeping { database, header, replaces };
            }
        }
        if let Some(stream) = &mut self.stream {
            stream.state = state;
        }
        out.push(Effect::ReadBody { stream: id, keep });
        None
    }

    /// All of an LTX file arrived.
    pub(super) fn body(&mut self, id: StreamId, body: Body, now: Now, out: &mut Vec<Effect>) {
        let current = self.stream.as_mut().filter(|stream| stream.id == id);
        let state = current.map(|stream| core::mem::replace(&mut stream.state, State::HeldUp));
        match (state, body) {
            (Some(State::Keeping { database, header, replaces }), Body::Kept { delivery, arrived }) => {
                match self.receiver.end(&database, &header, arrived.pages, arrived.post_apply) {
                    Ok(_) => {
                        let alone = self.receiver.databases() <= 1;
                        self.queue.submit(database, Item { delivery, arrived, replaces }, alone, now, out);
                    }
                    Err(reason) => {
                        out.push(Effect::Discard(delivery));
                        self.queue.need_snapshot(&database, now, out);
                        out.push(Effect::Note(Note::Unappliable { database, reason }));
                    }
                }
            }
            (Some(State::Keeping { database, .. }), Body::Lost) => self.queue.lost(&database, now, out),
            // Of a stream that was closed meanwhile.
            (None, Body::Kept { delivery, .. }) => return out.push(Effect::Discard(delivery)),
            (None, _) => return,
            (Some(_), Body::Kept { delivery, .. }) => out.push(Effect::Discard(delivery)),
            (Some(_), Body::Skipped | Body::Lost) => {}
        }
        self.go_on(out);
    }

    /// A transaction was applied, or was not.
    pub(super) fn applied(
        &mut self,
        delivery: Delivery,
        outcome: Result<Position, Refusal>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        self.queue.applied(delivery, outcome, now, out);
        self.go_on(out);
    }

    /// The stream is over.
    pub(super) fn ended(&mut self, id: StreamId) -> Option<End> {
        self.current(id)?;
        self.stream = None;
        Some(End::Disconnected)
    }

    /// Looks at what time it is.
    pub(super) fn tick(&mut self, now: Now, out: &mut Vec<Effect>) -> Option<End> {
        self.queue.tick(now, out);
        self.go_on(out);
        (self.is_announced() && self.queue.is_refetch_due(now)).then_some(End::Refetch)
    }

    /// When something has to be done, in nanoseconds.
    pub(super) fn wake_ns(&self) -> Option<u64> {
        self.queue.wake_ns().filter(|_| self.is_announced())
    }

    /// Whether there is a stream that has been told where the databases are. Before, there is nothing to begin anew.
    fn is_announced(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| !matches!(stream.state, State::Announcing { .. }))
    }

    /// Reads on if there is room again for what arrives.
    fn go_on(&mut self, out: &mut Vec<Effect>) {
        let waits = self.stream.as_ref().is_some_and(|stream| matches!(stream.state, State::HeldUp));
        if waits && !self.queue.is_full() {
            self.read(out);
        }
    }

    fn current(&self, id: StreamId) -> Option<&Stream> {
        self.stream.as_ref().filter(|stream| stream.id == id)
    }
}
