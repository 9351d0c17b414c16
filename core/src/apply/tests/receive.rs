//! Received transactions, from the log to their pages' places.

use core::cell::{Cell, RefCell};
use core::time::Duration;

use super::*;
use crate::Planted;
use crate::apply::{Applier, ApplyError, ReceiveError, SharedDriver, receive};
use crate::database::{Inspector, Options, Received, StopReason};
use crate::drive::Driver;
use crate::sqlite::lock::WRITE_BYTE;
use crate::{Checksum, Errno, NodeId, Now, Position, Txid, ltx};

const WRITE: LockRange = LockRange::new(WRITE_BYTE, 1);

/// A replica whose programs are locks.
struct Node {
    memory: Memory,
    driver: RefCell<Driver<Memory>>,
    waited: Cell<u32>,
    is_leaving: Cell<bool>,
}

impl Node {
    fn new() -> Self {
        let memory = Memory::default();
        let options =
            Options { node_id: NodeId::new(1), compress: false, backlog_max: 1, planted: Planted::default() };
        let opened = Driver::open(memory.clone(), options, 1 << 20, &|_| false, Now::default());
        let driver = RefCell::new(opened.unwrap().0);
        Self { memory, driver, waited: Cell::new(0), is_leaving: Cell::new(false) }
    }

    fn receive(&self, applier: Option<&mut Applier<Memory>>, file: &[u8]) -> Result<Position, ReceiveError> {
        let mut inspector = Inspector::default();
        inspector.feed(file).unwrap();
        receive(self, applier, &inspector.finish().unwrap(), &file, file.len() as u64)
    }
}

impl SharedDriver for Node {
    type Disk = Memory;

    fn with_driver<T>(&self, work: impl FnOnce(&mut Driver<Memory>) -> T) -> Result<T, Errno> {
        Ok(work(&mut self.driver.borrow_mut()))
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.get()
    }

    fn waits(&self, reason: &ApplyError, waited: Duration) {
        assert!(matches!(reason, ApplyError::Busy(_)), "{reason}");
        assert!(waited >= Duration::from_secs(5));
        self.waited.set(self.waited.get() + 1);
    }

    fn received(&self, driver: &Driver<Memory>, received: &Received) {
        assert_eq!(driver.position(), received.position());
    }

    fn sync_log(&self) {}

    fn sync_database(&self) -> Result<(), Errno> {
        Ok(())
    }
}

/// Transaction `txid`, which leaves a database that is full of that.
fn transaction(txid: u8) -> (Vec<u8>, Position) {
    let sum_of = |byte: u8| {
        pages(byte)
            .iter()
            .fold(Checksum::EMPTY, |sum, (page, content)| sum.toggle(Checksum::of_page(*page, content)))
    };
    let header = ltx::Header {
        compressed: false,
        page_size: PageSize::MIN,
        commit: 2,
        min_txid: Txid::new(txid.into()),
        max_txid: Txid::new(txid.into()),
        timestamp_ms: 1,
        pre_apply: if txid == 1 { Checksum::ZERO } else { sum_of(txid - 1) },
        wal_offset: 0,
        wal_size: 0,
        wal_salt: [0, 0],
        node_id: NodeId::new(2),
    };
    let position = Position { txid: header.max_txid, checksum: sum_of(txid) };
    let mut encoder = ltx::Encoder::new(header).unwrap();
    for (page, content) in pages(txid) {
        encoder.page(page, &content).unwrap();
    }
    encoder.finish(position.checksum).unwrap();
    (core::mem::take(encoder.output()), position)
}

#[test]
fn transaction_that_a_program_is_in_the_way_of_is_tried_until_it_goes() {
    let node = Node::new();
    let mut applier = Applier::new(node.memory.clone());
    let ((first, _), (second, position)) = (transaction(1), transaction(2));
    node.receive(Some(&mut applier), &first).unwrap();
    let (_database, index) = connect(&node.memory);
    let writer = node.memory.open(File::Shm);
    assert!(writer.try_lock(WRITE, LockKind::Write).unwrap());
    // After the first try.
    node.memory.while_waiting_at(Duration::from_secs(6), move || drop(writer));

    assert_eq!(node.receive(Some(&mut applier), &second).unwrap(), position);

    assert_eq!(node.waited.get(), 1);
    assert!(index.is_locked_by_others(WRITE).unwrap());
    assert_eq!(node.receive(Some(&mut applier), &second).unwrap(), position, "what is old is no error");
}

#[test]
fn database_stops_when_the_node_leaves_before_the_pages_are_written() {
    let node = Node::new();
    let mut applier = Applier::new(node.memory.clone());
    node.receive(Some(&mut applier), &transaction(1).0).unwrap();
    let (_database, index) = connect(&node.memory);
    assert!(index.try_lock(WRITE, LockKind::Write).unwrap());
    node.is_leaving.set(true);

    let error = node.receive(Some(&mut applier), &transaction(2).0).unwrap_err();

    assert!(matches!(error, ReceiveError::Apply(ApplyError::Busy(_))), "{error}");
    assert_eq!(node.driver.borrow().log().end(), transaction(2).1, "the log has it");
    let stopped = node.driver.borrow().database().stopped();
    assert_eq!(stopped, Some(StopReason::Unapplied(Errno::EIO)));
}
