use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use crate::database::Authority;
use crate::ltx::Header;
use crate::node::{
    Application, Arrived, Body, Delivery, Effect, Environment, Event, LeaseReply, LeaseRequest, Node, Note,
    Options, PrimaryInfo, Refusal, Role, StreamId, drive,
};
use crate::{Checksum, ClusterId, DatabaseName, NodeId, Now, PageSize, Position, Txid};

pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const OURS: NodeId = NodeId::new(1);
pub(super) const THEIRS: NodeId = NodeId::new(2);
/// How long leases are granted for in these scenes.
pub(super) const TTL: Duration = Duration::from_secs(30);
/// When a lease of [`TTL`] that was asked for at time 0 ends for the node.
pub(super) const END: u64 = 27 * SECOND;

/// A node, and whoever writes the scene around it.
pub(super) struct Scene {
    pub(super) node: Node,
    /// In nanoseconds.
    pub(super) now: u64,
    pub(super) wake: Option<u64>,
    effects: Effects,
    /// The number of the last request to the lease service.
    pub(super) asked: u64,
    /// What the operator can read.
    pub(super) notes: Vec<Note>,
}

#[derive(Default)]
struct Effects(Vec<Effect>);

impl Environment for Effects {
    fn perform(&mut self, effect: Effect) {
        self.0.push(effect);
    }
}

impl Scene {
    /// A node that was not told anything yet, of this cluster.
    pub(super) fn of(cluster: Option<ClusterId>) -> Self {
        let options = Options { node_id: OURS, reconnect_delay: Duration::from_secs(1), seed: 7 };
        Self {
            node: Node::new(options, cluster),
            now: 0,
            wake: None,
            effects: Effects::default(),
            asked: 0,
            notes: Vec::new(),
        }
    }

    pub(super) fn new() -> Self {
        Self::of(None)
    }

    /// What the node does about `event`, beside telling the operator.
    pub(super) fn tell(&mut self, event: Event) -> Vec<Effect> {
        let now = Now { monotonic_ns: self.now, wall_ms: (self.now / 1_000_000) as i64 };
        self.wake = drive(&mut self.node, event, now, &mut self.effects);
        let mut effects = Vec::new();
        for effect in core::mem::take(&mut self.effects.0) {
            match effect {
                Effect::Note(note) => self.notes.push(note),
                effect => {
                    if let Effect::Lease { number, .. } = effect {
                        self.asked = number;
                    }
                    effects.push(effect);
                }
            }
        }
        effects
    }

    /// What the node does when the lease service answers the last request.
    pub(super) fn lease(&mut self, reply: LeaseReply) -> Vec<Effect> {
        let number = self.asked;
        self.tell(Event::Lease { number, reply })
    }

    /// What the node does at this time, in nanoseconds.
    pub(super) fn at(&mut self, now: u64) -> Vec<Effect> {
        self.now = now;
        self.tell(Event::Tick)
    }

    /// What the node does when it next wants to do something.
    pub(super) fn wake_up(&mut self) -> Vec<Effect> {
        let at = self.wake.expect("it waits for a time");
        assert!(at >= self.now, "it wants to be woken in the past");
        self.at(at)
    }

    /// The node asks who is primary.
    pub(super) fn finding() -> Self {
        let mut scene = Self::new();
        scene.find();
        scene
    }

    /// The node, which was not asking, asks who is primary.
    pub(super) fn find(&mut self) {
        let asked = self.tell(Event::Tick);
        self.compared(&asked);
    }

    /// The node asked for the cluster of the lease service, and now asks who is primary.
    pub(super) fn compared(&mut self, asked: &[Effect]) {
        assert_eq!(asked, [ask(self.asked, LeaseRequest::ClusterId)]);
        let asked = self.lease(LeaseReply::Cluster(None));
        assert_eq!(asked, [ask(self.asked, LeaseRequest::FindOrAcquire)]);
    }

    /// The node has the lease service remember a cluster, which turns out to be the first, and stores it.
    pub(super) fn claimed(&mut self, effects: &[Effect]) {
        let [Effect::Lease { request: LeaseRequest::Claim(_), .. }] = effects else {
            panic!("{effects:?} instead of a claim")
        };
        assert_eq!(self.lease(LeaseReply::Cluster(Some(cluster(1)))), [Effect::StoreCluster(cluster(1))]);
    }

    /// The node was granted the lease at time 0 and asks for its service to belong to a cluster.
    pub(super) fn claiming() -> Self {
        let mut scene = Self::finding();
        let effects = scene.lease(held());
        let [Effect::Lease { request: LeaseRequest::Claim(_), .. }] = effects[..] else {
            panic!("{effects:?} instead of a claim")
        };
        scene
    }

    /// The node was granted the lease at time 0 and stores the cluster of its service.
    pub(super) fn founding() -> Self {
        let mut scene = Self::finding();
        let claim = scene.lease(held());
        scene.claimed(&claim);
        scene
    }

    /// The node is primary from time 0 on.
    pub(super) fn primary() -> Self {
        let mut scene = Self::founding();
        scene.tell(Event::ClusterStored(Some(cluster(1))));
        scene.tell(Event::RoleTaken);
        assert_eq!(scene.node.role(), &Role::Primary);
        scene
    }

    /// The node follows a primary, has these databases, and reads the stream of this number.
    pub(super) fn following(ours: &[(&str, Position)]) -> (Self, StreamId) {
        let mut scene = Self::of(Some(cluster(1)));
        scene.find();
        scene.lease(LeaseReply::Primary(upstream()));
        assert_eq!(scene.tell(Event::RoleTaken), [Effect::LookAtPositions]);
        let stream = scene.connected(ours);
        (scene, stream)
    }

    /// The node looked at the positions of its databases; the primary accepts.
    pub(super) fn connected(&mut self, ours: &[(&str, Position)]) -> StreamId {
        let (stream, _) = self.connecting(ours);
        let read = self.tell(Event::Connected { stream, cluster: Some(cluster(1)) });
        assert_eq!(read, [Effect::Read(stream)]);
        stream
    }

    /// The node looked at the positions of its databases. Returns what it announces.
    pub(super) fn connecting(
        &mut self,
        ours: &[(&str, Position)],
    ) -> (StreamId, BTreeMap<DatabaseName, Position>) {
        let effects = self.tell(Event::Positions(map(ours)));
        match effects.as_slice() {
            [Effect::Connect { stream, announce, .. }] => (*stream, announce.clone()),
            other => panic!("{other:?}"),
        }
    }

    /// The node connects again to the primary it knows. Returns what it announces.
    pub(super) fn reconnecting(
        &mut self,
        asked: &[Effect],
        ours: &[(&str, Position)],
    ) -> (StreamId, BTreeMap<DatabaseName, Position>) {
        self.compared(asked);
        let effects = self.lease(LeaseReply::Primary(upstream()));
        assert_eq!(effects.last(), Some(&Effect::LookAtPositions), "{effects:?}");
        self.connecting(ours)
    }

    /// A transaction of `size` bytes arrives complete. Returns its number and what the node does.
    pub(super) fn receive_sized(
        &mut self,
        stream: StreamId,
        database: &str,
        header: Header,
        post: u64,
        size: usize,
    ) -> (Delivery, Vec<Effect>) {
        let effects = self.tell(Event::Header { stream, database: name(database), header });
        let [Effect::ReadBody { keep: Some(delivery), .. }] = effects[..] else { panic!("{effects:?}") };
        let arrived = Arrived { header, pages: 1, post_apply: Checksum::new(post), size };
        let effects = self.tell(Event::Body { stream, body: Body::Kept { delivery, arrived } });
        (delivery, effects)
    }

    /// A small transaction arrives that takes `database` from one position to the next one.
    pub(super) fn receive(
        &mut self,
        stream: StreamId,
        database: &str,
        from: Position,
    ) -> (Delivery, Vec<Effect>) {
        let txid = from.txid.next().get();
        let header = header(THEIRS, txid, txid, from.checksum.get());
        self.receive_sized(stream, database, header, txid * 10, 100)
    }

    pub(super) fn applied(&mut self, delivery: Delivery, position: Position) -> Vec<Effect> {
        self.tell(Event::Applied { delivery, outcome: Ok(position) })
    }

    pub(super) fn refused(&mut self, delivery: Delivery, reason: Refusal) -> Vec<Effect> {
        self.tell(Event::Applied { delivery, outcome: Err(reason) })
    }

    /// The text of the last note.
    pub(super) fn note(&self) -> alloc::string::String {
        self.notes.last().map(ToString::to_string).unwrap_or_default()
    }
}

pub(super) fn ask(number: u64, request: LeaseRequest) -> Effect {
    Effect::Lease { number, request }
}

pub(super) fn held() -> LeaseReply {
    LeaseReply::Held { ttl: Some(TTL) }
}

pub(super) fn failed() -> LeaseReply {
    LeaseReply::Failed("no route".into())
}

pub(super) fn take_primary(authority: Authority) -> Effect {
    Effect::TakeRole { role: Role::Primary, authority }
}

pub(super) fn take_searching() -> Effect {
    Effect::TakeRole { role: Role::Searching, authority: Authority::ReadOnly }
}

pub(super) fn apply(delivery: Delivery, database: &str) -> Effect {
    Effect::Apply(Application { delivery, database: name(database), replaces: None })
}

pub(super) fn cluster(id: u64) -> ClusterId {
    ClusterId::new(id)
}

pub(super) fn upstream() -> PrimaryInfo {
    PrimaryInfo { hostname: "nodea".into(), url: "http://nodea:20202".into() }
}

pub(super) fn name(text: &str) -> DatabaseName {
    DatabaseName::new(text).unwrap()
}

/// The position after transaction `txid`, whose checksum is ten times that.
pub(super) fn at(txid: u64) -> Position {
    Position { txid: Txid::new(txid), checksum: Checksum::new(txid * 10) }
}

pub(super) fn map(positions: &[(&str, Position)]) -> BTreeMap<DatabaseName, Position> {
    positions.iter().map(|(text, position)| (name(text), *position)).collect()
}

pub(super) fn header(node_id: NodeId, min: u64, max: u64, pre_apply: u64) -> Header {
    Header {
        compressed: true,
        page_size: PageSize::new(4096).unwrap(),
        commit: 2,
        min_txid: Txid::new(min),
        max_txid: Txid::new(max),
        timestamp_ms: 0,
        pre_apply: Checksum::new(pre_apply),
        wal_offset: 0,
        wal_size: 0,
        wal_salt: [0, 0],
        node_id,
    }
}
