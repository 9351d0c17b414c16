//! Whatever the world answers, and in which order: what has to be true of the node at all times.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::scene::*;
use crate::node::{
    Arrived, Body, Delivery, Effect, Event, LeaseReply, LeaseRequest, Refusal, Role, SentLtx, StreamId,
};
use crate::stream::Frame;
use crate::{Checksum, ClusterId, DatabaseName, Position, Txid};

/// Effects that were not answered yet, and what has to be known to judge those to come.
struct World {
    scene: Scene,
    choices: Choices,
    pending: Vec<Effect>,
    stored: Option<ClusterId>,
    /// The cluster that the lease service belongs to, and that it said last to a claim.
    lease_cluster: Option<ClusterId>,
    claimed: Option<ClusterId>,
    /// Where the databases are.
    positions: BTreeMap<DatabaseName, Position>,
    /// Where they are once all that arrived is applied, as far as the primary knows.
    announced: BTreeMap<DatabaseName, Position>,
    /// The databases of LTX files whose headers were read.
    arriving: BTreeMap<StreamId, crate::ltx::Header>,
    kept: BTreeSet<Delivery>,
    applying: BTreeMap<Delivery, DatabaseName>,
    /// Streams that may be read, and that may be sent to.
    upstream: Option<StreamId>,
    downstreams: BTreeSet<StreamId>,
    /// The lease service believes that this node is primary.
    granted: bool,
    stopped: bool,
}

/// What is random in a scene.
struct Choices {
    numbers: Vec<u32>,
    used: usize,
}

impl Choices {
    /// A number below `end`; zero when there are no more.
    fn below(&mut self, end: usize) -> usize {
        let number = self.numbers.get(self.used).copied().unwrap_or(0);
        self.used += 1;
        number as usize % end
    }

    /// True once in `times`, and not when there are no more choices.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    fn are_over(&self) -> bool {
        self.used >= self.numbers.len()
    }
}

impl World {
    fn new(numbers: Vec<u32>) -> Self {
        Self {
            scene: Scene::new(),
            choices: Choices { numbers, used: 0 },
            pending: Vec::new(),
            stored: None,
            lease_cluster: None,
            claimed: None,
            positions: map(&[("a", at(3)), ("b", at(3))]),
            announced: BTreeMap::new(),
            arriving: BTreeMap::new(),
            kept: BTreeSet::new(),
            applying: BTreeMap::new(),
            upstream: None,
            downstreams: BTreeSet::new(),
            granted: false,
            stopped: false,
        }
    }

    fn tell(&mut self, event: Event) {
        let effects = self.scene.tell(event);
        let tidy = |effect: &Effect| matches!(effect, Effect::Discard(_) | Effect::Finish(_));
        assert!(!self.stopped || effects.iter().all(tidy), "{effects:?} of a node that stopped");
        for effect in effects {
            self.judge(&effect);
            self.pending.push(effect);
        }
        let wake = self.scene.wake;
        assert!(wake.is_none_or(|wake| wake > self.scene.now), "it wants to be told the time over and over");
    }

    /// What the node asks for has to make sense at this moment.
    fn judge(&mut self, effect: &Effect) {
        let alike = |a: &Effect| core::mem::discriminant(a) == core::mem::discriminant(effect);
        match effect {
            Effect::Lease { .. } | Effect::TakeRole { .. } | Effect::LookAtPositions => {
                assert!(!self.pending.iter().any(alike), "two at once: {effect:?}");
                if let Effect::TakeRole { role: Role::Primary, .. } = effect {
                    assert!(self.stored.is_some() && self.stored == self.claimed, "of another cluster");
                }
            }
            Effect::Connect { stream, announce, .. } => {
                assert_eq!(self.upstream.replace(*stream), None, "the stream before is not closed");
                self.announced = announce.clone();
            }
            Effect::Read(stream) | Effect::ReadBody { stream, .. } => {
                assert_eq!(self.upstream, Some(*stream));
                let reads = |a: &Effect| match a {
                    Effect::Connect { stream, .. }
                    | Effect::Read(stream)
                    | Effect::ReadBody { stream, .. } => Some(*stream) == self.upstream,
                    _ => false,
                };
                assert!(!self.pending.iter().any(reads), "two reads at once");
            }
            Effect::Close(stream) => assert_eq!(self.upstream.take(), Some(*stream)),
            Effect::Apply(application) => {
                assert!(self.kept.remove(&application.delivery), "not there: {effect:?}");
                assert!(!self.applying.values().any(|busy| *busy == application.database), "{effect:?}");
                self.applying.insert(application.delivery, application.database.clone());
            }
            Effect::Discard(delivery) => assert!(self.kept.remove(delivery), "not there: {effect:?}"),
            Effect::Send { stream, .. } => {
                assert!(self.downstreams.contains(stream));
                let sends = |a: &Effect| matches!(a, Effect::Send { stream: other, .. } if other == stream);
                assert!(!self.pending.iter().any(sends), "two messages at once");
                assert_eq!(self.scene.node.role(), &Role::Primary);
            }
            Effect::Finish(stream) => assert!(self.downstreams.remove(stream)),
            Effect::Stopped => {
                self.stopped = true;
                assert!(self.kept.is_empty() && self.applying.is_empty() && !self.granted);
                assert_eq!((self.upstream, self.downstreams.len()), (None, 0));
                assert_ne!(self.scene.node.role(), &Role::Primary);
            }
            _ => {}
        }
    }

    /// One more thing happens.
    fn step(&mut self) {
        match self.choices.below(12) {
            0..=8 if !self.pending.is_empty() => {
                let index = self.choices.below(self.pending.len());
                let effect = self.pending.remove(index);
                self.answer(effect);
            }
            9 if self.choices.once_in(2) => {
                let stream = self.scene.node.new_stream();
                self.downstreams.insert(stream);
                let ours = self.positions.clone();
                self.tell(Event::Subscribed { stream, theirs: map(&[("a", at(2))]), filter: None, ours });
            }
            9 => {
                let txid = 3 + self.choices.below(6) as u64;
                self.tell(Event::Durable { database: name("a"), position: at(txid) });
            }
            10 => {
                if let Some(stream) = self.downstreams.pop_first() {
                    self.pending
                        .retain(|a| !matches!(a, Effect::Send { stream: other, .. } if *other == stream));
                    self.tell(Event::Ended { stream, orderly: false });
                }
            }
            _ => {
                self.scene.now += [SECOND / 10, SECOND, 20 * SECOND][self.choices.below(3)];
                self.tell(Event::Tick);
            }
        }
    }

    fn answer(&mut self, effect: Effect) {
        let event = match effect {
            Effect::Lease { number, request } => Event::Lease { number, reply: self.reply(request) },
            Effect::TakeRole { .. } => Event::RoleTaken,
            Effect::StoreCluster(id) => {
                if self.choices.once_in(5) {
                    Event::ClusterStored(None)
                } else {
                    self.stored = self.stored.or(Some(id));
                    Event::ClusterStored(self.stored)
                }
            }
            Effect::LookAtPositions => Event::Positions(self.positions.clone()),
            Effect::Connect { stream, .. } | Effect::Read(stream) | Effect::ReadBody { stream, .. }
                if self.choices.once_in(8) =>
            {
                self.upstream.take_if(|current| *current == stream);
                Event::Ended { stream, orderly: self.choices.once_in(2) }
            }
            Effect::Connect { stream, .. } => {
                let cluster = if self.choices.once_in(8) { cluster(2) } else { cluster(1) };
                Event::Connected { stream, cluster: Some(cluster) }
            }
            Effect::Read(stream) => self.frame(stream),
            Effect::ReadBody { stream, keep } => Event::Body { stream, body: self.body(stream, keep) },
            Effect::Apply(application) => self.apply(application.delivery),
            Effect::Send { stream, ltx, .. } => {
                let ltx = match ltx {
                    None => SentLtx::None,
                    Some(_) if self.choices.once_in(4) => SentLtx::Missing,
                    Some(_) => SentLtx::Sent(at(3 + self.choices.below(6) as u64)),
                };
                Event::Sent { stream, ltx }
            }
            _ => return,
        };
        self.tell(event);
    }

    fn reply(&mut self, request: LeaseRequest) -> LeaseReply {
        let choice = self.choices.below(8);
        let ttl = Some(Duration::from_secs(10));
        match (request, choice) {
            (LeaseRequest::Release, 0..=6) => {
                self.granted = false;
                LeaseReply::Released
            }
            // It forgot, or belongs to another cluster by now.
            (LeaseRequest::ClusterId, 0) => LeaseReply::Cluster(None),
            (LeaseRequest::ClusterId, 1..=5) => LeaseReply::Cluster(self.lease_cluster),
            (LeaseRequest::ClusterId, 6) => LeaseReply::Cluster(Some(cluster(2))),
            (LeaseRequest::Claim(id), 0..=6) => {
                let known = if choice == 6 { cluster(2) } else { *self.lease_cluster.get_or_insert(id) };
                self.claimed = Some(known);
                LeaseReply::Cluster(self.claimed)
            }
            (LeaseRequest::FindOrAcquire, 0..=2) | (LeaseRequest::Renew, 0..=5) => {
                self.granted = true;
                LeaseReply::Held { ttl }
            }
            (LeaseRequest::FindOrAcquire, 3..=5) => LeaseReply::Primary(upstream()),
            (LeaseRequest::FindOrAcquire, 6) => LeaseReply::NoPrimary,
            (LeaseRequest::Renew, 6) => {
                self.granted = false;
                LeaseReply::Lost
            }
            (request, _) => {
                // It tried to give the lease back; that is all it can do.
                self.granted &= request != LeaseRequest::Release;
                failed()
            }
        }
    }

    fn frame(&mut self, stream: StreamId) -> Event {
        let database = name(["a", "b"][self.choices.below(2)]);
        let frame = match self.choices.below(8) {
            0 => Frame::Ready,
            1 => Frame::Heartbeat { timestamp_ms: 5 },
            2 => Frame::HighWater { txid: Txid::ZERO, database },
            3 if self.choices.once_in(4) => Frame::End,
            _ => {
                let from = self.announced.get(&database).copied().unwrap_or_default();
                let from = if self.choices.once_in(8) { at(2) } else { from };
                let next = from.txid.next();
                let min = if self.choices.once_in(6) { Txid::new(1) } else { next };
                let pre = if min == next { from.checksum.get() } else { 0 };
                let header = header(THEIRS, min.get(), next.get(), pre);
                self.announced.insert(database.clone(), at(next.get()));
                self.arriving.insert(stream, header);
                return Event::Header { stream, database, header };
            }
        };
        Event::Frame { stream, frame }
    }

    fn body(&mut self, stream: StreamId, keep: Option<Delivery>) -> Body {
        let header = self.arriving[&stream];
        match keep {
            None => Body::Skipped,
            Some(_) if self.choices.once_in(8) => Body::Lost,
            Some(delivery) => {
                self.kept.insert(delivery);
                let post_apply = Checksum::new(header.max_txid.get() * 10);
                let pages = u64::from(!self.choices.once_in(8));
                let size = [100, 20 << 20][self.choices.below(2)];
                Body::Kept { delivery, arrived: Arrived { header, pages, post_apply, size } }
            }
        }
    }

    fn apply(&mut self, delivery: Delivery) -> Event {
        let database = self.applying.remove(&delivery).unwrap();
        let refusals = [Refusal::Position, Refusal::NeedsSnapshot, Refusal::Storage];
        let outcome = if self.choices.once_in(4) {
            Err(refusals[self.choices.below(3)])
        } else {
            let position = self.positions.entry(database).or_default();
            *position = at(position.txid.get() + 1);
            Ok(*position)
        };
        Event::Applied { delivery, outcome }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn node_makes_sense_whatever_happens_and_stops(
        numbers in prop::collection::vec(any::<u32>(), 0..1000),
        stop_after in 0..500usize,
    ) {
        let mut world = World::new(numbers);
        world.tell(Event::Tick);
        let mut steps = 0;
        while !world.choices.are_over() && !world.stopped {
            if steps == stop_after {
                world.tell(Event::Stop);
            }
            world.step();
            steps += 1;
        }
        world.tell(Event::Stop);
        // From here on everything is answered, in order and well.
        for _ in 0..200 {
            if world.pending.is_empty() {
                break;
            }
            let effect = world.pending.remove(0);
            world.answer(effect);
        }
        prop_assert!(world.stopped, "it does not stop: {:?}", world.scene.node);
    }
}
