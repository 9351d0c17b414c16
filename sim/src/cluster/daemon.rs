use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use litefs_core::database::Received;
use litefs_core::node::{
    Application, Arrived, Body, Delivery, Effect, Event, LeaseReply, LeaseRequest, Node as Machine, Options,
    PrimaryInfo, Role, SentLtx, StreamId, Weight,
};
use litefs_core::stream::{Frame, PositionMapReader, encode_chunks, encode_chunks_end, encode_position_map};
use litefs_core::{ClusterId, DatabaseName, NodeId, Position};

use super::databases::Databases;
use super::followed::{Followed, Next};
use super::lease_service::{Question, SERVICE, decode_reply, machine_of};
use super::plan::Plan;
use super::witness::Witness;
use crate::network::{Connection, Listener, Stack};
use crate::node::{Node, Process};
use crate::rt;
use crate::signal::Signal;

/// How long a replica may take to say what it wants, and the primary to answer.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// The daemon of one machine, from its start to its end: the machine of a node, and what carries out its effects.
#[derive(Debug)]
pub(crate) struct Daemon {
    node: Rc<Node>,
    process: Process,
    stack: Rc<Stack>,
    databases: Databases,
    witness: Rc<Witness>,
    candidate: bool,
    lease_timeout: Duration,
    machine: RefCell<Machine>,
    events: RefCell<VecDeque<Event>>,
    arrived: Signal,
    /// LTX files that arrived and are not applied yet.
    kept: RefCell<BTreeMap<Delivery, (Received, Vec<u8>)>>,
    /// The stream that is read.
    followed: RefCell<Option<(StreamId, Rc<Followed>)>>,
    /// The streams that are written.
    fed: RefCell<BTreeMap<StreamId, Rc<Connection>>>,
    /// Those of them on which a message is on its way.
    sending: RefCell<BTreeSet<StreamId>>,
    stopped: Cell<bool>,
    ended: Signal,
}

impl Daemon {
    /// Starts a daemon on a machine whose databases are open.
    pub(crate) fn start(
        node: &Rc<Node>,
        stack: &Rc<Stack>,
        plan: &Rc<Plan>,
        witness: &Rc<Witness>,
    ) -> Rc<Self> {
        let number = stack.host().number();
        let databases = Databases::new(node, plan);
        let options = Options {
            node_id: databases.node_id(),
            reconnect_delay: plan.reconnect_delay,
            seed: plan.seed ^ u64::from(number),
        };
        let daemon = Rc::new(Self {
            node: Rc::clone(node),
            process: node.daemon(),
            stack: Rc::clone(stack),
            machine: RefCell::new(Machine::new(options, databases.cluster())),
            databases,
            witness: Rc::clone(witness),
            candidate: true,
            lease_timeout: plan.ttl / 4,
            events: RefCell::default(),
            arrived: Signal::default(),
            kept: RefCell::default(),
            followed: RefCell::default(),
            fed: RefCell::default(),
            sending: RefCell::default(),
            stopped: Cell::new(false),
            ended: Signal::default(),
        });
        let listener = stack.listen();
        drop(rt::spawn(Rc::clone(&daemon).run()));
        drop(rt::spawn(Rc::clone(&daemon).accept(listener)));
        drop(rt::spawn(Rc::clone(&daemon).hear_lease_service(listener)));
        drop(rt::spawn(Rc::clone(&daemon).keep_house()));
        daemon
    }

    /// What the node is.
    pub(crate) fn role(&self) -> Role {
        self.machine.borrow().role().clone()
    }

    /// Its databases.
    pub(crate) fn databases(&self) -> &Databases {
        &self.databases
    }

    /// Whether its process is still there.
    pub(crate) fn is_alive(&self) -> bool {
        self.node.is_alive(self.process) && !self.stopped.get()
    }

    /// Ends it in order.
    pub(crate) async fn stop(&self) {
        self.tell(Event::Stop);
        while self.is_alive() {
            let _: Option<()> = rt::timeout(Duration::from_millis(100), self.ended.wait()).await;
        }
    }

    fn tell(&self, event: Event) {
        self.events.borrow_mut().push_back(event);
        self.arrived.ring();
    }

    /// The loop that drives the machine.
    async fn run(self: Rc<Self>) {
        self.tell(Event::Tick);
        while self.is_alive() {
            let event = self.next_event().await;
            self.node.thawed().await;
            if !self.is_alive() {
                return;
            }
            let effects = {
                let mut machine = self.machine.borrow_mut();
                machine.handle(event, self.node.now());
                machine.take_effects()
            };
            for effect in effects {
                self.perform(effect);
            }
        }
    }

    async fn next_event(&self) -> Event {
        loop {
            let next = self.events.borrow_mut().pop_front();
            if let Some(event) = next {
                return event;
            }
            let now = self.node.now().monotonic_ns;
            let wake = self.machine.borrow().wake_ns().map_or(u64::MAX, |at| at.saturating_sub(now));
            // The death of the process rings nothing, hence the limit.
            let wait = Duration::from_nanos(wake).min(Duration::from_millis(200));
            if rt::timeout(wait, self.arrived.wait()).await.is_none() {
                return Event::Tick;
            }
        }
    }

    fn perform(self: &Rc<Self>, effect: Effect) {
        if let Effect::Note(note) = &effect {
            if note.weight() != Weight::Info {
                self.node.record.probe("operator was told");
            }
            self.node.record.event(format_args!("note: {note}"));
            return;
        }
        self.node.record.event(format_args!("effect {effect:?}"));
        let daemon = Rc::clone(self);
        match effect {
            Effect::Lease { number, request } => drop(rt::spawn(daemon.ask(number, request))),
            Effect::TakeRole { role, authority } => drop(rt::spawn(async move {
                daemon.databases.take_role(&role, authority).await;
                daemon.witness.role_taken(&daemon.node, &role);
                daemon.tell(Event::RoleTaken);
            })),
            Effect::Authorize(authority) => drop(rt::spawn(async move {
                daemon.databases.authorize(authority).await;
            })),
            Effect::StoreCluster(id) => drop(rt::spawn(async move {
                let stored = daemon.databases.store_cluster(id).await;
                daemon.tell(Event::ClusterStored(stored));
            })),
            Effect::LookAtPositions => drop(rt::spawn(async move {
                if let Some(positions) = daemon.databases.positions().await {
                    daemon.tell(Event::Positions(positions));
                }
            })),
            Effect::Connect { stream, primary, announce } => {
                drop(rt::spawn(daemon.connect(stream, primary, announce)));
            }
            Effect::Read(stream) => drop(rt::spawn(daemon.read(stream))),
            Effect::ReadBody { stream, keep } => drop(rt::spawn(daemon.read_body(stream, keep))),
            Effect::Close(stream) => {
                let closed = self.followed.borrow_mut().take_if(|(id, _)| *id == stream);
                if let Some((_, followed)) = closed {
                    followed.connection().reset();
                }
            }
            Effect::Apply(application) => {
                let kept = self.kept.borrow_mut().remove(&application.delivery);
                let Some((received, bytes)) = kept else { unreachable!("only what was kept is applied") };
                drop(rt::spawn(async move {
                    let Application { delivery, database, replaces } = application;
                    let outcome = daemon.databases.apply(&database, received, bytes, replaces).await;
                    daemon.witness.applied(&daemon.node, &database, replaces, outcome);
                    daemon.tell(Event::Applied { delivery, outcome });
                }));
            }
            Effect::Discard(delivery) => drop(self.kept.borrow_mut().remove(&delivery)),
            Effect::Send { stream, frames, ltx } => drop(rt::spawn(daemon.send(stream, frames, ltx))),
            Effect::Finish(stream) => {
                let connection = self.fed.borrow_mut().remove(&stream);
                let Some(connection) = connection else { return };
                if self.sending.borrow_mut().remove(&stream) {
                    connection.reset();
                    return;
                }
                drop(rt::spawn(async move {
                    let mut out = Vec::new();
                    Frame::End.encode(&mut out);
                    if connection.write(&out).await.is_ok() {
                        connection.finish();
                    }
                }));
            }
            Effect::Ready => self.node.record.probe("ready"),
            Effect::CaughtUp { .. } => self.node.record.probe("caught up"),
            Effect::Note(_) => {}
            Effect::Stopped => {
                self.stopped.set(true);
                self.ended.ring();
            }
        }
    }

    /// Asks the lease service, and says that it failed if it does not answer.
    async fn ask(self: Rc<Self>, number: u64, request: LeaseRequest) {
        let session = self.process.generation();
        let question = Question { number, session, request, candidate: self.candidate };
        self.stack.send_message(SERVICE, question.encode());
        rt::sleep(self.lease_timeout).await;
        self.tell(Event::Lease { number, reply: LeaseReply::Failed("no answer in time".to_owned()) });
    }

    async fn hear_lease_service(self: Rc<Self>, listener: Listener) {
        while let Some((_, bytes)) = self.stack.message(listener).await {
            if let Some((session, number, reply)) = decode_reply(&bytes)
                && session == self.process.generation()
            {
                self.tell(Event::Lease { number, reply });
            }
        }
    }

    async fn accept(self: Rc<Self>, listener: Listener) {
        while let Some(connection) = self.stack.accept(listener).await {
            drop(rt::spawn(Rc::clone(&self).serve(connection)));
        }
    }

    /// Answers a replica that wants to be sent transactions.
    async fn serve(self: Rc<Self>, connection: Rc<Connection>) {
        let theirs = rt::timeout(HANDSHAKE, read_positions(&connection)).await.flatten();
        self.node.thawed().await;
        let cluster = self.databases.cluster();
        let (Some(theirs), Some(cluster), Role::Primary) = (theirs, cluster, self.role()) else {
            connection.reset();
            return;
        };
        if connection.write(cluster.as_str().as_bytes()).await.is_err() {
            return;
        }
        let Some(ours) = self.databases.positions().await else { return };
        let stream = self.machine.borrow_mut().new_stream();
        self.fed.borrow_mut().insert(stream, connection);
        self.tell(Event::Subscribed { stream, theirs, filter: None, ours });
        // What moved after the positions were looked at, and was told before the machine knew of the stream.
        if let Some(ours) = self.databases.positions().await {
            for (database, position) in ours {
                self.tell(Event::Durable { database, position });
            }
        }
    }

    async fn send(
        self: Rc<Self>,
        stream: StreamId,
        frames: Vec<Frame>,
        ltx: Option<litefs_core::node::LtxToSend>,
    ) {
        let Some(connection) = self.fed.borrow().get(&stream).cloned() else { return };
        self.sending.borrow_mut().insert(stream);
        let mut out = Vec::new();
        for frame in &frames {
            frame.encode(&mut out);
        }
        let mut sent = SentLtx::None;
        if let Some(ltx) = ltx {
            match self.databases.ltx(&ltx).await {
                Err(errno) => {
                    self.node.record.event(format_args!("{ltx:?} cannot be read: {errno}"));
                    return self.fed_ended(stream);
                }
                Ok(None) => sent = SentLtx::Missing,
                Ok(Some((position, bytes))) => {
                    Frame::Ltx { database: ltx.database().clone() }.encode(&mut out);
                    encode_chunks(&bytes, &mut out);
                    encode_chunks_end(&mut out);
                    if let Some(frame) = ltx.followed_by() {
                        frame.encode(&mut out);
                    }
                    sent = SentLtx::Sent(position);
                }
            }
        }
        let written = connection.write(&out).await;
        self.sending.borrow_mut().remove(&stream);
        match written {
            Ok(()) if self.fed.borrow().contains_key(&stream) => self.tell(Event::Sent { stream, ltx: sent }),
            Ok(()) => {}
            Err(_) => self.fed_ended(stream),
        }
    }

    fn fed_ended(&self, stream: StreamId) {
        self.sending.borrow_mut().remove(&stream);
        if let Some(connection) = self.fed.borrow_mut().remove(&stream) {
            connection.reset();
            self.tell(Event::Ended { stream, orderly: false });
        }
    }

    async fn connect(
        self: Rc<Self>,
        stream: StreamId,
        primary: PrimaryInfo,
        announce: BTreeMap<DatabaseName, Position>,
    ) {
        let connected = async {
            let connection = self.stack.connect(machine_of(&primary)).await.ok()?;
            connection.write(&encode_position_map(&announce)).await.ok()?;
            let mut reply = Vec::new();
            while reply.len() < CLUSTER_LEN {
                let bytes = rt::timeout(HANDSHAKE, connection.read()).await?.ok()?;
                if bytes.is_empty() {
                    return None;
                }
                reply.extend_from_slice(&bytes);
            }
            let rest = reply.split_off(CLUSTER_LEN);
            let cluster: ClusterId = std::str::from_utf8(&reply).ok()?.parse().ok()?;
            Some((Followed::new(connection, rest), cluster))
        };
        match connected.await {
            Some((followed, cluster)) => {
                self.followed.replace(Some((stream, Rc::new(followed))));
                self.tell(Event::Connected { stream, cluster: Some(cluster) });
            }
            None => self.tell(Event::Ended { stream, orderly: false }),
        }
    }

    fn stream(&self, stream: StreamId) -> Option<Rc<Followed>> {
        let followed = self.followed.borrow();
        followed.as_ref().filter(|(id, _)| *id == stream).map(|(_, followed)| Rc::clone(followed))
    }

    async fn read(self: Rc<Self>, stream: StreamId) {
        let Some(followed) = self.stream(stream) else { return };
        let event = match followed.next().await {
            Ok(Next::Frame(frame)) => Event::Frame { stream, frame },
            Ok(Next::Ltx(database, header)) => Event::Header { stream, database, header },
            Err(error) => {
                self.node.record.event(format_args!("the stream failed: {}", error.0));
                Event::Ended { stream, orderly: false }
            }
        };
        self.tell(event);
    }

    async fn read_body(self: Rc<Self>, stream: StreamId, keep: Option<Delivery>) {
        let Some(followed) = self.stream(stream) else { return };
        let event = match (followed.body().await, keep) {
            (Ok((received, bytes)), Some(delivery)) => {
                let arrived = Arrived::new(&received, bytes.len());
                self.kept.borrow_mut().insert(delivery, (received, bytes));
                Event::Body { stream, body: Body::Kept { delivery, arrived } }
            }
            (Ok(_), None) => Event::Body { stream, body: Body::Skipped },
            (Err(error), _) => {
                self.node.record.event(format_args!("the stream failed: {}", error.0));
                Event::Ended { stream, orderly: false }
            }
        };
        self.tell(event);
    }

    /// What the daemon does on its own, and the news of what became durable by it.
    async fn keep_house(self: Rc<Self>) {
        let mut told = BTreeMap::new();
        while self.is_alive() {
            let wait = self.node.draw(|rng| rng.between(1, 30));
            rt::sleep(Duration::from_millis(wait)).await;
            self.node.thawed().await;
            if !self.is_alive() {
                return;
            }
            self.databases.work().await;
            let Some(positions) = self.databases.positions().await else { continue };
            for (database, position) in positions {
                if told.insert(database.clone(), position) != Some(position) {
                    self.tell(Event::Durable { database, position });
                }
            }
        }
    }
}

/// Bytes of a cluster id, which is all that a primary says before its frames.
const CLUSTER_LEN: usize = 20;

async fn read_positions(connection: &Connection) -> Option<BTreeMap<DatabaseName, Position>> {
    let mut reader = PositionMapReader::new();
    loop {
        let bytes = connection.read().await.ok()?;
        if bytes.is_empty() {
            return None;
        }
        if reader.feed(&bytes).ok()? {
            return Some(reader.into_positions());
        }
    }
}

/// How a machine is named in the LTX files it creates.
pub(crate) fn node_id(machine: u8) -> NodeId {
    NodeId::new(0x1000 + u64::from(machine))
}
