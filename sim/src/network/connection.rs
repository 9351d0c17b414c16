use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::segment::{Part, Segment};
use crate::rt::{self, Host};
use crate::signal::Signal;

/// Bytes that may be on their way without having been acknowledged.
const WINDOW: usize = 256 << 10;
/// How long to wait for an acknowledgement before the first of it is sent again.
const RESEND: Duration = Duration::from_millis(100);
/// Bytes that are sent again at most.
const RESEND_MAX: usize = 64 << 10;

/// One side of a connection between two machines: bytes in order, all of them, as long as it lasts.
///
/// When the other machine is gone, or cannot be reached, nothing happens: whoever waits has to limit its patience.
#[derive(Debug)]
pub(crate) struct Connection {
    host: Host,
    peer: u8,
    number: u64,
    is_opener: bool,
    /// Most bytes in a segment.
    segment_max: usize,
    open: Cell<bool>,
    broken: Cell<bool>,
    /// Bytes to send that were not acknowledged, from this offset on.
    outgoing: RefCell<Vec<u8>>,
    acknowledged: Cell<u64>,
    /// Where the bytes to send end, once they do.
    ends_at: Cell<Option<u64>>,
    /// Bytes that arrived in order and were not read.
    incoming: RefCell<Vec<u8>>,
    /// How many bytes arrived in order.
    arrived: Cell<u64>,
    /// Bytes that arrived too early.
    early: RefCell<BTreeMap<u64, Vec<u8>>>,
    /// Where the bytes to receive end, once that is known.
    peer_ends_at: Cell<Option<u64>>,
    changed: Signal,
}

/// The connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionError;

impl Connection {
    pub(super) fn new(host: Host, peer: u8, number: u64, is_opener: bool, segment_max: usize) -> Rc<Self> {
        let connection = Rc::new(Self {
            host,
            peer,
            number,
            is_opener,
            segment_max,
            open: Cell::new(!is_opener),
            broken: Cell::new(false),
            outgoing: RefCell::default(),
            acknowledged: Cell::default(),
            ends_at: Cell::default(),
            incoming: RefCell::default(),
            arrived: Cell::default(),
            early: RefCell::default(),
            peer_ends_at: Cell::default(),
            changed: Signal::default(),
        });
        drop(rt::spawn(Rc::clone(&connection).resend()));
        connection
    }

    /// Sends all of `bytes`, as fast as they are acknowledged.
    pub(crate) async fn write(&self, bytes: &[u8]) -> Result<(), ConnectionError> {
        for part in bytes.chunks(self.segment_max) {
            while !self.broken.get() && self.outgoing.borrow().len() >= WINDOW {
                self.changed.wait().await;
            }
            self.check()?;
            let offset = self.written();
            self.outgoing.borrow_mut().extend_from_slice(part);
            self.send(Part::Data(offset, part.to_vec()));
        }
        Ok(())
    }

    /// Says that nothing more will be written.
    pub(crate) fn finish(&self) {
        if self.ends_at.get().is_none() && !self.broken.get() {
            self.ends_at.set(Some(self.written()));
            self.send(Part::Fin(self.written()));
        }
    }

    /// What has arrived since the last call, at least one byte; nothing at the end.
    pub(crate) async fn read(&self) -> Result<Vec<u8>, ConnectionError> {
        loop {
            let incoming = self.incoming.take();
            if !incoming.is_empty() {
                return Ok(incoming);
            }
            if self.peer_ends_at.get() == Some(self.arrived.get()) {
                return Ok(Vec::new());
            }
            self.check()?;
            self.changed.wait().await;
        }
    }

    /// Waits until the other side has accepted.
    pub(super) async fn accepted(&self) -> Result<(), ConnectionError> {
        while !self.open.get() {
            self.check()?;
            self.send(Part::Open);
            // The sooner of the two: an answer, or the time to ask again.
            let _: Option<()> = rt::timeout(RESEND, self.changed.wait()).await;
        }
        Ok(())
    }

    /// Ends the connection without a word to the other side, as when the machine loses power.
    pub(super) fn vanish(&self) {
        self.broken.set(true);
        self.changed.ring();
    }

    /// Ends the connection at once. What was not read is lost on both sides.
    pub(crate) fn reset(&self) {
        if !self.broken.replace(true) {
            self.send(Part::Reset);
        }
        self.changed.ring();
    }

    /// Takes a segment from the other side.
    pub(super) fn receive(&self, part: Part) {
        if self.broken.get() {
            return;
        }
        match part {
            Part::Open => self.send(Part::Accept),
            Part::Accept => self.open.set(true),
            Part::Data(offset, bytes) => self.take(offset, bytes),
            Part::Ack(offset) => {
                let news = usize::try_from(offset.saturating_sub(self.acknowledged.get())).unwrap_or(0);
                let mut outgoing = self.outgoing.borrow_mut();
                let news = news.min(outgoing.len());
                outgoing.drain(..news);
                self.acknowledged.set(self.acknowledged.get() + news as u64);
            }
            Part::Fin(offset) => self.peer_ends_at.set(Some(offset)),
            Part::Reset => self.broken.set(true),
        }
        self.changed.ring();
    }

    fn take(&self, offset: u64, bytes: Vec<u8>) {
        self.early.borrow_mut().insert(offset, bytes);
        loop {
            let next = self.early.borrow_mut().pop_first();
            let Some((offset, bytes)) = next else { break };
            if offset > self.arrived.get() {
                self.early.borrow_mut().insert(offset, bytes);
                break;
            }
            let known = usize::try_from(self.arrived.get() - offset).unwrap_or(usize::MAX).min(bytes.len());
            self.incoming.borrow_mut().extend_from_slice(&bytes[known..]);
            self.arrived.set(self.arrived.get() + (bytes.len() - known) as u64);
        }
        self.send(Part::Ack(self.arrived.get()));
    }

    /// Sends again what was not acknowledged, until the connection ends.
    async fn resend(self: Rc<Self>) {
        let mut before = 0;
        while !self.broken.get() {
            rt::sleep(RESEND).await;
            let acknowledged = self.acknowledged.get();
            let outgoing = self.outgoing.borrow().clone();
            if acknowledged == before {
                let mut offset = acknowledged;
                for part in outgoing[..outgoing.len().min(RESEND_MAX)].chunks(self.segment_max) {
                    self.send(Part::Data(offset, part.to_vec()));
                    offset += part.len() as u64;
                }
            }
            before = acknowledged;
            if let Some(end) = self.ends_at.get() {
                self.send(Part::Fin(end));
            }
        }
    }

    fn written(&self) -> u64 {
        self.acknowledged.get() + self.outgoing.borrow().len() as u64
    }

    fn send(&self, part: Part) {
        let segment = Segment::Of { connection: self.number, from_opener: self.is_opener, part };
        self.host.send(self.peer, segment.encode());
    }

    fn check(&self) -> Result<(), ConnectionError> {
        if self.broken.get() { Err(ConnectionError) } else { Ok(()) }
    }
}
