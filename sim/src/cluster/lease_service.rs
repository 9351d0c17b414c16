use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use litefs_core::ClusterId;
use litefs_core::node::{LeaseReply, LeaseRequest, PrimaryInfo};

use crate::network::Stack;
use crate::record::Record;
use crate::rt::{self, Host};

/// The machine that the lease service runs on.
pub(crate) const SERVICE: u8 = 200;

/// A service that lets one node be primary at a time, with a time to live: what the model of Consul, etcd and a bucket have
/// in common.
#[derive(Debug)]
pub(crate) struct LeaseService {
    stack: Rc<Stack>,
    record: Record,
    ttl: Duration,
    holder: RefCell<Option<Holding>>,
    cluster: Cell<Option<ClusterId>>,
    /// It does not answer before this, in virtual nanoseconds.
    down_until_ns: Cell<u64>,
    /// It does what it is asked and does not say so before this, in virtual nanoseconds.
    mute_until_ns: Cell<u64>,
}

/// Who is primary, as far as the service knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    /// The machine.
    pub(crate) machine: u8,
    /// The process on it.
    pub(crate) session: u64,
    /// When it ends, in virtual nanoseconds.
    pub(crate) until_ns: u64,
}

/// What a node asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The number of the request in its process.
    pub(crate) number: u64,
    /// The process.
    pub(crate) session: u64,
    /// What it wants.
    pub(crate) request: LeaseRequest,
    /// Whether it may become primary.
    pub(crate) candidate: bool,
}

impl LeaseService {
    /// A service that grants leases for `ttl`.
    pub(crate) fn new(stack: Rc<Stack>, ttl: Duration, record: Record) -> Rc<Self> {
        let service = Rc::new(Self {
            stack,
            record,
            ttl,
            holder: RefCell::default(),
            cluster: Cell::default(),
            down_until_ns: Cell::default(),
            mute_until_ns: Cell::default(),
        });
        drop(rt::spawn(Rc::clone(&service).serve()));
        service
    }

    /// Its place on the network.
    pub(crate) fn host(&self) -> &Host {
        self.stack.host()
    }

    /// Who is primary now.
    pub(crate) fn holder(&self) -> Option<Holding> {
        self.holder.borrow().filter(|holding| rt::elapsed_ns() < holding.until_ns)
    }

    /// Answers nothing for a while.
    pub(crate) fn go_down(&self, duration: Duration) {
        self.down_until_ns.set(after(duration));
    }

    /// Does what it is asked for a while, and loses the answers.
    pub(crate) fn go_mute(&self, duration: Duration) {
        self.mute_until_ns.set(after(duration));
    }

    /// Ends the lease before its time, as an operator can.
    pub(crate) fn expire(&self) {
        self.holder.take();
    }

    async fn serve(self: Rc<Self>) {
        let listener = self.stack.listen();
        while let Some((from, bytes)) = self.stack.message(listener).await {
            let Some(question) = Question::decode(&bytes) else { continue };
            if rt::elapsed_ns() < self.down_until_ns.get() {
                continue;
            }
            let reply = self.answer(from, question);
            self.record.event(format_args!("lease service: n{from} {question:?}: {reply:?}"));
            if rt::elapsed_ns() < self.mute_until_ns.get() {
                self.record.probe("lease reply lost");
                continue;
            }
            self.stack.send_message(from, encode_reply(question, &reply));
        }
    }

    fn answer(&self, machine: u8, question: Question) -> LeaseReply {
        let Question { session, request, candidate, .. } = question;
        let is_holder = |holding: &Holding| holding.machine == machine && holding.session == session;
        let held = self.holder();
        let grant = || {
            let until_ns = after(self.ttl);
            self.holder.replace(Some(Holding { machine, session, until_ns }));
            LeaseReply::Held { ttl: Some(self.ttl) }
        };
        match (request, held) {
            (LeaseRequest::ClusterId, _) => LeaseReply::Cluster(self.cluster.get()),
            (LeaseRequest::Claim(id), _) => {
                self.cluster.set(self.cluster.get().or(Some(id)));
                LeaseReply::Cluster(self.cluster.get())
            }
            (LeaseRequest::FindOrAcquire, Some(holding)) if !is_holder(&holding) => {
                LeaseReply::Primary(primary_info(holding.machine))
            }
            (LeaseRequest::FindOrAcquire, None) if !candidate => LeaseReply::NoPrimary,
            (LeaseRequest::FindOrAcquire, _) => grant(),
            (LeaseRequest::Renew, Some(holding)) if is_holder(&holding) => grant(),
            (LeaseRequest::Renew, _) => LeaseReply::Lost,
            (LeaseRequest::Release, held) => {
                if held.is_some_and(|holding| is_holder(&holding)) {
                    self.holder.take();
                }
                LeaseReply::Released
            }
        }
    }
}

/// How a machine is called in the cluster.
pub(crate) fn primary_info(machine: u8) -> PrimaryInfo {
    PrimaryInfo { hostname: format!("n{machine}"), url: format!("http://n{machine}:20202") }
}

/// The machine that is called so.
pub(crate) fn machine_of(primary: &PrimaryInfo) -> u8 {
    primary.hostname.strip_prefix('n').and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl Question {
    /// As a datagram.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let request = match self.request {
            LeaseRequest::ClusterId => 0,
            LeaseRequest::FindOrAcquire => 1,
            LeaseRequest::Renew => 2,
            LeaseRequest::Release => 3,
            LeaseRequest::Claim(_) => 4,
        };
        let tail = [request, u8::from(self.candidate)];
        let id = if let LeaseRequest::Claim(id) = &self.request { id.as_str() } else { "" };
        [&self.number.to_be_bytes()[..], &self.session.to_be_bytes(), &tail, id.as_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (session, rest) = rest.split_first_chunk()?;
        let [request, candidate, id @ ..] = rest else { return None };
        let request = match request {
            0 => LeaseRequest::ClusterId,
            1 => LeaseRequest::FindOrAcquire,
            2 => LeaseRequest::Renew,
            3 => LeaseRequest::Release,
            4 => LeaseRequest::Claim(std::str::from_utf8(id).ok()?.parse().ok()?),
            _ => return None,
        };
        Some(Self {
            number: u64::from_be_bytes(*number),
            session: u64::from_be_bytes(*session),
            request,
            candidate: *candidate == 1,
        })
    }
}

fn encode_reply(question: Question, reply: &LeaseReply) -> Vec<u8> {
    let id = if let LeaseReply::Cluster(Some(id)) = reply { id.as_str() } else { "" };
    let (kind, value) = match reply {
        LeaseReply::Cluster(_) => (0, 0),
        LeaseReply::Held { ttl } => (1, ttl.map_or(0, |ttl| u64::try_from(ttl.as_nanos()).unwrap_or(0))),
        LeaseReply::Primary(primary) => (2, u64::from(machine_of(primary))),
        LeaseReply::NoPrimary => (3, 0),
        LeaseReply::Lost => (4, 0),
        LeaseReply::Released => (5, 0),
        LeaseReply::Failed(_) => (6, 0),
    };
    let head =
        [question.session.to_be_bytes(), question.number.to_be_bytes(), u64::to_be_bytes(value)].concat();
    [head.as_slice(), &[kind], id.as_bytes()].concat()
}

/// The session, the number of the request and what the service says to it.
pub(crate) fn decode_reply(bytes: &[u8]) -> Option<(u64, u64, LeaseReply)> {
    let (session, rest) = bytes.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (value, rest) = rest.split_first_chunk()?;
    let (kind, id) = rest.split_first()?;
    let value = u64::from_be_bytes(*value);
    let reply = match kind {
        0 => LeaseReply::Cluster(std::str::from_utf8(id).ok().and_then(|id| id.parse().ok())),
        1 => LeaseReply::Held { ttl: Some(Duration::from_nanos(value)) },
        2 => LeaseReply::Primary(primary_info(u8::try_from(value).ok()?)),
        3 => LeaseReply::NoPrimary,
        4 => LeaseReply::Lost,
        5 => LeaseReply::Released,
        _ => LeaseReply::Failed("the lease service says no".to_owned()),
    };
    Some((u64::from_be_bytes(*session), u64::from_be_bytes(*number), reply))
}

fn after(duration: Duration) -> u64 {
    rt::elapsed_ns() + u64::try_from(duration.as_nanos()).unwrap_or(0)
}
