//! One node of a cluster: which role it has, which stream it follows, and what it sends to whom.
//!
//! The machine does nothing itself. What happens is an [`Event`]; what is to be done comes back as [`Effect`]s, and most of
//! them are answered by an event later. Between the two the node goes on.

mod apply_queue;
mod delivery;
mod effect;
mod environment;
mod event;
mod feed;
mod following;
mod lease;
mod note;
mod options;
mod phase;
mod role;
mod role_change;
mod stream_id;
mod tenure;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;

pub use delivery::{Application, Arrived, Delivery, Refusal, Replaces};
pub use effect::{Effect, LtxToSend};
pub use environment::{Environment, drive};
pub use event::{Body, Event, SentLtx};
pub use lease::{LeaseReply, LeaseRequest};
pub use note::{Note, Weight};
pub use options::Options;
pub use role::{PrimaryInfo, Role};
pub use stream_id::StreamId;

use self::feed::Feed;
use self::following::{End, Following};
use self::phase::Phase;
use self::tenure::Tenure;
use crate::database::Authority;
use crate::{ClusterId, Now};

/// A node of a cluster.
#[derive(Debug)]
pub struct Node {
    options: Options,
    cluster: Option<ClusterId>,
    /// The cluster that the lease service said it belongs to.
    lease_cluster: Option<ClusterId>,
    role: Role,
    phase: Phase,
    lease: Tenure,
    following: Following,
    /// The replicas of this primary.
    feeds: BTreeMap<StreamId, Feed>,
    /// The last stream that this node began.
    last_stream: u64,
    stopping: bool,
    /// State of the generator that spreads delays.
    jitter: u64,
    effects: Vec<Effect>,
}

impl Node {
    /// A node that belongs to this cluster, if it knows, and asks for its primary at once.
    pub fn new(options: Options, cluster: Option<ClusterId>) -> Self {
        Self {
            following: Following::new(options.node_id),
            jitter: options.seed,
            options,
            cluster,
            lease_cluster: None,
            role: Role::Searching,
            phase: Phase::Waiting { until_ns: 0 },
            lease: Tenure::default(),
            feeds: BTreeMap::new(),
            last_stream: 0,
            stopping: false,
            effects: Vec::new(),
        }
    }

    /// The role that the node has, or had until a moment ago.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Until when the node may be primary at most.
    pub fn authority(&self) -> Authority {
        self.lease.authority()
    }

    /// The number of a new stream to or from this node.
    pub fn new_stream(&mut self) -> StreamId {
        self.last_stream += 1;
        StreamId(self.last_stream)
    }

    /// Takes note of what happened.
    pub fn handle(&mut self, event: Event, now: Now) {
        match event {
            Event::Tick => {}
            Event::Stop => self.stopping = true,
            Event::Lease { number, reply } => {
                if let Some(request) = self.lease.answered(number, &reply, now) {
                    self.lease_answered(request, reply, now);
                }
            }
            Event::RoleTaken => self.role_taken(now),
            Event::ClusterStored(id) => self.cluster_stored(id, now),
            Event::Durable { database, position } => {
                for feed in self.feeds.values_mut() {
                    feed.changed(database.clone(), position);
                }
            }
            Event::Positions(positions) => self.following.positions(positions, &mut self.effects),
            Event::Subscribed { stream, theirs, filter, ours } => {
                if self.phase == Phase::Primary {
                    self.feeds.insert(stream, Feed::new(theirs, ours, filter));
                } else {
                    self.effects.push(Effect::Finish(stream));
                }
            }
            Event::Sent { stream, ltx } => {
                if let Some(feed) = self.feeds.get_mut(&stream) {
                    feed.sent(ltx);
                }
            }
            Event::Ended { stream, orderly } => {
                self.feeds.remove(&stream);
                let end = self.following.ended(stream);
                if end.is_some() && orderly {
                    self.note(Note::Disconnected);
                }
                self.stream_ended(end, now);
            }
            Event::Connected { stream, cluster } => {
                let end = self.following.connected(stream, cluster, self.cluster, &mut self.effects);
                self.stream_ended(end, now);
            }
            Event::Frame { stream, frame } => {
                let end = self.following.frame(stream, &frame, &mut self.effects);
                if end.is_some() {
                    self.note(Note::Disconnected);
                }
                self.stream_ended(end, now);
            }
            Event::Header { stream, database, header } => {
                let end = self.following.header(stream, database, header, &mut self.effects);
                self.stream_ended(end, now);
            }
            Event::Body { stream, body } => self.following.body(stream, body, now, &mut self.effects),
            Event::Applied { delivery, outcome } => {
                self.following.applied(delivery, outcome, now, &mut self.effects);
            }
        }
        self.go_on(now);
        self.feed(now);
    }

    /// What is to be done since the last call, in this order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        mem::take(&mut self.effects)
    }

    /// When the node wants to be told what time it is, in nanoseconds of the monotonic clock.
    pub fn wake_ns(&self) -> Option<u64> {
        let waiting = match self.phase {
            // A node that stops waits only for what is being applied.
            Phase::Waiting { until_ns } if !self.stopping => Some(until_ns),
            _ => None,
        };
        let feeds = self.feeds.values().filter_map(Feed::wake_ns);
        let (renewal, end) = match self.phase {
            Phase::Draining | Phase::Primary => (self.lease.renewal_ns(), self.lease.end_ns()),
            // What is under way has to be awaited even if the lease runs out.
            Phase::Founding | Phase::Taking(Role::Primary) => (self.lease.renewal_ns(), None),
            // There is no lease to look after, or the answer of its service is awaited, also to a claim: nothing can be
            // asked before it comes, and what it comes to is decided then.
            _ => (None, None),
        };
        let others = [waiting, renewal, end, self.following.wake_ns()];
        others.into_iter().flatten().chain(feeds).min()
    }

    fn stream_ended(&mut self, end: Option<End>, now: Now) {
        let Some(end) = end else { return };
        self.following.close(&mut self.effects);
        if self.phase == Phase::Following {
            match end {
                End::Disconnected => self.wait(now),
                End::Refetch => self.phase = Phase::Waiting { until_ns: now.monotonic_ns },
            }
        }
    }

    /// Does what has become possible.
    fn go_on(&mut self, now: Now) {
        let end = self.following.tick(now, &mut self.effects);
        self.stream_ended(end, now);
        match &self.phase {
            Phase::Waiting { .. } if self.stopping => self.stop(),
            Phase::Waiting { until_ns } if now.monotonic_ns >= *until_ns => {
                self.phase = Phase::Comparing;
                self.ask(LeaseRequest::ClusterId, now);
            }
            Phase::Draining if self.stopping || !self.lease.is_valid(now) => self.phase = Phase::Releasing,
            Phase::Draining if self.following.is_idle() && !self.lease.is_asking() => self.claim(now),
            Phase::Primary if self.stopping || !self.lease.is_valid(now) => self.step_down(),
            Phase::Following if self.stopping => {
                self.following.close(&mut self.effects);
                self.phase = Phase::Waiting { until_ns: now.monotonic_ns };
                self.stop();
            }
            _ => {}
        }
        match &self.phase {
            Phase::Draining | Phase::Founding | Phase::Taking(Role::Primary) | Phase::Primary
                if self.lease.is_renewal_due(now) =>
            {
                self.ask(LeaseRequest::Renew, now);
            }
            Phase::Releasing if !self.lease.is_asking() => self.ask(LeaseRequest::Release, now),
            _ => {}
        }
    }

    /// Stops once nothing is being applied any more.
    fn stop(&mut self) {
        self.following.drop_waiting(&mut self.effects);
        if self.following.is_idle() {
            self.phase = Phase::Stopped;
            self.effects.push(Effect::Stopped);
        }
    }

    fn follow(&mut self, primary: PrimaryInfo) {
        self.phase = Phase::Following;
        let stream = self.new_stream();
        self.following.begin(stream, primary, &mut self.effects);
    }

    fn ask(&mut self, request: LeaseRequest, now: Now) {
        let number = self.lease.ask(request, now);
        self.effects.push(Effect::Lease { number, request });
    }

    /// Sends what there is to send.
    fn feed(&mut self, now: Now) {
        for (stream, feed) in &mut self.feeds {
            self.effects.extend(feed.next(*stream, now));
        }
    }

    fn note(&mut self, note: Note) {
        self.effects.push(Effect::Note(note));
    }

    /// Begins anew after the reconnect delay, a quarter more or less, so that replicas of a primary that came back do not
    /// all connect at the same moment.
    fn wait(&mut self, now: Now) {
        self.draw();
        let delay = u64::try_from(self.options.reconnect_delay.as_nanos()).unwrap_or(u64::MAX);
        let share = u128::from(self.jitter >> 32);
        let spread = u64::try_from((u128::from(delay / 2) * share) >> 32).unwrap_or(0);
        let until_ns = now.monotonic_ns.saturating_add(delay - delay / 4).saturating_add(spread);
        self.phase = Phase::Waiting { until_ns };
    }

    /// The next number of the generator. Its high bits are good enough to spread delays.
    fn draw(&mut self) -> u64 {
        // The multiplier and increment of Knuth's MMIX.
        self.jitter =
            self.jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.jitter
    }
}
