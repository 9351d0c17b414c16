use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use super::connection::{Connection, ConnectionError};
use super::segment::{Part, Segment};
use crate::rng::Rng;
use crate::rt::{self, Host};
use crate::signal::Signal;

/// How long opening a connection may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Datagrams that are taken in at the same time. The runtime takes a millisecond for each.
const RECEIVERS: usize = 32;

/// The part of a machine's kernel that talks to the network.
#[derive(Debug)]
pub(crate) struct Stack {
    host: Host,
    rng: RefCell<Rng>,
    /// Without power nothing arrives and nothing leaves.
    powered: Cell<bool>,
    /// Whether a process accepts connections.
    listening: Cell<bool>,
    /// Counts those that did.
    listener: Cell<u64>,
    /// By the machine at the other side, who opened it (this one: true), and its number.
    connections: RefCell<BTreeMap<(u8, bool, u64), Rc<Connection>>>,
    last_connection: Cell<u64>,
    /// Connections that nobody has accepted yet.
    backlog: RefCell<VecDeque<Rc<Connection>>>,
    /// Datagrams that do not belong to a connection, and who sent them.
    messages: RefCell<VecDeque<(u8, Vec<u8>)>>,
    arrived: Signal,
    /// Of a hundred datagrams, how many arrive twice.
    duplicate_percent: u64,
    /// Most bytes in a segment of a connection.
    segment_max: usize,
}

/// A process that the network knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listener(u64);

impl Stack {
    /// The machine's network, which works at once.
    pub(crate) fn new(host: Host, duplicate_percent: u64, segment_max: usize, rng: Rng) -> Rc<Self> {
        let stack = Rc::new(Self {
            host,
            rng: RefCell::new(rng),
            powered: Cell::new(true),
            listening: Cell::new(false),
            listener: Cell::default(),
            connections: RefCell::default(),
            last_connection: Cell::default(),
            backlog: RefCell::default(),
            messages: RefCell::default(),
            arrived: Signal::default(),
            duplicate_percent,
            segment_max,
        });
        for _ in 0..RECEIVERS {
            drop(rt::spawn(Rc::clone(&stack).serve()));
        }
        stack
    }

    /// The machine's place on the network.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// A process accepts connections from now on. Returns what it is known by.
    pub(crate) fn listen(&self) -> Listener {
        self.powered.set(true);
        self.listening.set(true);
        self.listener.set(self.listener.get() + 1);
        Listener(self.listener.get())
    }

    /// All processes ended. The other sides learn of it if the machine is still on.
    pub(crate) fn processes_ended(&self, powered: bool) {
        self.powered.set(powered);
        self.listening.set(false);
        self.listener.set(self.listener.get() + 1);
        self.arrived.ring();
        self.backlog.borrow_mut().clear();
        self.messages.borrow_mut().clear();
        for connection in std::mem::take(&mut *self.connections.borrow_mut()).into_values() {
            if powered {
                connection.reset();
            } else {
                connection.vanish();
            }
        }
    }

    /// Resets all connections, as a device between the machines can.
    pub(crate) fn reset_connections(&self) {
        for connection in std::mem::take(&mut *self.connections.borrow_mut()).into_values() {
            connection.reset();
        }
    }

    /// Opens a connection to another machine.
    pub(crate) async fn connect(&self, to: u8) -> Result<Rc<Connection>, ConnectionError> {
        let number = self.last_connection.get() + 1;
        self.last_connection.set(number);
        let connection = Connection::new(self.host.clone(), to, number, true, self.segment_max);
        self.connections.borrow_mut().insert((to, true, number), Rc::clone(&connection));
        match rt::timeout(OPEN_TIMEOUT, connection.accepted()).await {
            Some(Ok(())) => Ok(connection),
            Some(Err(_)) | None => {
                connection.reset();
                Err(ConnectionError)
            }
        }
    }

    /// The next connection that another machine opens; `None` at the end of the process.
    pub(crate) async fn accept(&self, listener: Listener) -> Option<Rc<Connection>> {
        while self.listener.get() == listener.0 {
            let next = self.backlog.borrow_mut().pop_front();
            if next.is_some() {
                return next;
            }
            self.arrived.wait().await;
        }
        None
    }

    /// Sends a datagram that belongs to no connection.
    pub(crate) fn send_message(&self, to: u8, bytes: Vec<u8>) {
        if self.powered.get() {
            self.host.send(to, Segment::Message(bytes).encode());
        }
    }

    /// The next datagram that belongs to no connection, and who sent it; `None` at the end of the process.
    pub(crate) async fn message(&self, listener: Listener) -> Option<(u8, Vec<u8>)> {
        while self.listener.get() == listener.0 {
            let next = self.messages.borrow_mut().pop_front();
            if next.is_some() {
                return next;
            }
            self.arrived.wait().await;
        }
        None
    }

    async fn serve(self: Rc<Self>) {
        loop {
            let (from, datagram) = self.host.receive().await;
            if !self.powered.get() {
                continue;
            }
            let Some(segment) = Segment::decode(&datagram) else { continue };
            let twice = self.rng.borrow_mut().percent(self.duplicate_percent);
            if twice {
                self.receive(from, segment.clone());
            }
            self.receive(from, segment);
        }
    }

    fn receive(&self, from: u8, segment: Segment) {
        let (number, from_opener, part) = match segment {
            Segment::Message(bytes) => {
                self.messages.borrow_mut().push_back((from, bytes));
                self.arrived.ring();
                return;
            }
            Segment::Of { connection, from_opener, part } => (connection, from_opener, part),
        };
        let key = (from, !from_opener, number);
        let known = self.connections.borrow().get(&key).cloned();
        match known {
            Some(connection) => {
                let ends = part == Part::Reset;
                connection.receive(part);
                if ends {
                    self.connections.borrow_mut().remove(&key);
                }
            }
            None if part == Part::Open && self.listening.get() => {
                let connection = Connection::new(self.host.clone(), from, number, false, self.segment_max);
                connection.receive(Part::Open);
                self.connections.borrow_mut().insert(key, Rc::clone(&connection));
                self.backlog.borrow_mut().push_back(connection);
                self.arrived.ring();
            }
            None if part == Part::Reset => {}
            None => {
                let reset = Segment::Of { connection: number, from_opener: !from_opener, part: Part::Reset };
                self.host.send(from, reset.encode());
            }
        }
    }
}
