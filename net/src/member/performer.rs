use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use litefs_core::ClusterId;
use litefs_core::DatabaseName;
use litefs_core::node::{
    Application, Effect, Environment, Event, LeaseReply, LeaseRequest, Note, Refusal, StreamId, Weight,
};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::answer::Answer;
use super::changes::Changes;
use super::input::{Inbox, Input, Subscribe};

use crate::downstream::{Downstream, FeedError};
use crate::upstream::Upstream;
use crate::{Host, Lease, ReceiveError};

/// How long the lease service may take to answer.
const LEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Carries out what the node's machine says, without waiting for it: answers come through the inbox.
pub(super) struct Performer<L> {
    host: Arc<dyn Host>,
    lease: Arc<L>,
    inbox: Inbox,
    pub(super) upstream: Upstream,
    downstreams: BTreeMap<StreamId, Downstream>,
    /// Listened to only while there are replicas: the host makes transactions durable earlier when somebody does.
    pub(super) changes: Changes,
    /// What is known at once.
    answers: VecDeque<Event>,
    stopped: bool,
}

impl<L: Lease> Performer<L> {
    pub(super) fn new(host: Arc<dyn Host>, lease: L, databases: &[DatabaseName], inbox: Inbox) -> Self {
        Self {
            upstream: Upstream::new(Arc::clone(&host), databases),
            changes: Changes::default(),
            host,
            lease: Arc::new(lease),
            inbox,
            downstreams: BTreeMap::new(),
            answers: VecDeque::new(),
            stopped: false,
        }
    }

    /// Whether the node has stopped.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The oldest answer that was known at once.
    pub(super) fn next_answer(&mut self) -> Option<Event> {
        self.answers.pop_front()
    }

    /// A replica gets a stream of this number.
    pub(super) fn subscribed(&mut self, stream: StreamId, to: Subscribe) -> Event {
        // Before the positions are read, so that no change falls between.
        self.changes.open(self.host.as_ref());
        let (downstream, event) = Downstream::new(stream, to, self.inbox.clone());
        self.downstreams.insert(stream, downstream);
        event
    }

    /// The stream to a replica broke.
    pub(super) fn broke(&mut self, stream: StreamId, error: &FeedError) {
        if let Some(downstream) = self.remove(stream) {
            downstream.broke(error);
        }
    }

    fn remove(&mut self, stream: StreamId) -> Option<Downstream> {
        let removed = self.downstreams.remove(&stream);
        if self.downstreams.is_empty() {
            self.changes.close();
        }
        removed
    }

    fn answer(&self, to: &'static str, otherwise: Event) -> Answer {
        Answer::new(self.inbox.clone(), to, Input::Event(otherwise))
    }

    fn ask(&self, number: u64, request: LeaseRequest) {
        let (lease, inbox) = (Arc::clone(&self.lease), self.inbox.clone());
        tokio::spawn(async move {
            let reply = match timeout(LEASE_TIMEOUT, lease.ask(request)).await {
                Ok(reply) => reply.unwrap_or_else(|error| LeaseReply::Failed(error.to_string())),
                Err(_) => {
                    LeaseReply::Failed(format!("{} lease: no answer for {LEASE_TIMEOUT:?}", lease.kind()))
                }
            };
            inbox.send(Input::Event(Event::Lease { number, reply }));
        });
    }

    fn store_cluster(&self, id: ClusterId) {
        let host = Arc::clone(&self.host);
        let answer = self.answer("storing the cluster id", Event::ClusterStored(None));
        spawn_blocking(move || match host.join_cluster(id) {
            Ok(stored) => answer.give(Input::Event(Event::ClusterStored(Some(stored)))),
            Err(error) => error!(%error, "cannot store the cluster id"),
        });
    }

    fn apply(&mut self, application: Application) {
        let Application { delivery, database, .. } = &application;
        let (delivery, database) = (*delivery, database.clone());
        let failed = Event::Applied { delivery, outcome: Err(Refusal::Storage) };
        let Some(ltx) = self.upstream.take_kept(&application) else {
            return self.answers.push_back(failed);
        };
        let answer = self.answer("applying a transaction", failed);
        let host = Arc::clone(&self.host);
        spawn_blocking(move || {
            let outcome = host.receive(&database, ltx).map_err(|reason| {
                warn!(%database, %reason, "transaction was not applied");
                match reason {
                    ReceiveError::NeedsSnapshot(_) => Refusal::NeedsSnapshot,
                    ReceiveError::PositionMismatch { .. } => Refusal::Position,
                    ReceiveError::Io(_) => Refusal::Storage,
                }
            });
            answer.give(Input::Event(Event::Applied { delivery, outcome }));
        });
    }
}

impl<L: Lease> Environment for Performer<L> {
    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Lease { number, request } => self.ask(number, request),
            Effect::TakeRole { role, authority } => {
                let (host, answer) =
                    (Arc::clone(&self.host), self.answer("changing the role", Event::RoleTaken));
                spawn_blocking(move || {
                    host.set_role(role, authority);
                    drop(answer);
                });
            }
            Effect::Authorize(authority) => {
                let host = Arc::clone(&self.host);
                spawn_blocking(move || host.authorize(authority));
            }
            Effect::StoreCluster(id) => self.store_cluster(id),
            Effect::LookAtPositions => self.answers.push_back(Event::Positions(self.host.positions())),
            Effect::Connect { stream, primary, announce } => {
                self.upstream.connect(stream, primary, announce);
            }
            Effect::Read(stream) => self.upstream.read(stream),
            Effect::ReadBody { stream, keep } => self.upstream.read_body(stream, keep),
            Effect::Close(stream) => self.upstream.close(stream),
            Effect::Apply(application) => self.apply(application),
            Effect::Discard(delivery) => self.upstream.discard(delivery),
            Effect::Send { stream, frames, ltx } => {
                if let Some(downstream) = self.downstreams.get_mut(&stream) {
                    self.answers.extend(downstream.send(&frames, ltx));
                }
            }
            Effect::Finish(stream) => {
                if let Some(downstream) = self.remove(stream) {
                    downstream.finish();
                }
            }
            Effect::Ready => self.host.set_ready(),
            Effect::CaughtUp { primary_ms } => self.host.caught_up(primary_ms),
            Effect::Note(note) => log(&note),
            Effect::Stopped => self.stopped = true,
        }
    }
}

fn log(note: &Note) {
    match note.weight() {
        Weight::Info => info!("{note}"),
        Weight::Warning => warn!("{note}"),
        Weight::Error => error!("{note}"),
    }
}
