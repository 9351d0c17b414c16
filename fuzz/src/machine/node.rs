use litefs_core::Planted;
use litefs_core::database::{Authority, Options, Request};
use litefs_core::drive::{Driver, OpenError};
use litefs_core::{Errno, File, NodeId, Now, Position};

use crate::memory_disk::MemoryDisk;

/// The moment everything happens.
pub(super) const NOW: Now = Now { monotonic_ns: 1_000, wall_ms: 1_700_000_000_000 };

/// Bytes of a segment of the log: a few transactions.
const SEGMENT_LEN: u64 = 4096;

/// A database on a node, and what is known of it from outside.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) disk: MemoryDisk,
    pub(super) driver: Driver<MemoryDisk>,
    options: Options,
    /// A program wrote to the database file what a loss of power may keep without the journal that takes it back. Then
    /// power is not lost.
    pub(super) careless: bool,
    /// What the log took last from elsewhere. Recovery applies it where it could not be.
    pub(super) received: Option<Position>,
    /// Positions the database was at, in the order of time. The first one is durable.
    history: Vec<Position>,
}

impl Node {
    pub(super) fn new(compress: bool) -> Self {
        let options =
            Options { node_id: NodeId::new(7), compress, backlog_max: 2, planted: Planted::default() };
        let disk = MemoryDisk::default();
        let driver = match open(&disk, options) {
            Ok(driver) => driver,
            Err(error) => panic!("an empty directory: {error}"),
        };
        Self { disk, driver, options, careless: false, received: None, history: vec![Position::ZERO] }
    }

    pub(super) fn request(&mut self, request: Request<'_>) -> Result<(), Errno> {
        self.driver.request(request, NOW)
    }

    pub(super) fn write(&mut self, file: File, offset: u64, data: &[u8]) -> Result<(), Errno> {
        if data.is_empty() { Ok(()) } else { self.request(Request::Write { file, offset, data }) }
    }

    /// Whether the files are what the position says.
    pub(super) fn is_settled(&self) -> bool {
        let database = self.driver.database();
        database.stopped().is_none() && !database.is_dirty() && !database.has_active_journal()
    }

    /// Checks what holds after every step.
    pub(super) fn check(&mut self) {
        let (position, durable) = (self.driver.position(), self.driver.durable());
        if self.history.last() != Some(&position) {
            self.history.push(position);
        }
        let database = self.driver.database();
        if position != Position::ZERO {
            assert_eq!(database.sums().total(), position.checksum, "at {position}");
        }
        if self.is_settled() && position != Position::ZERO {
            let found = self.driver.recompute_checksum();
            assert_eq!(found, Ok(position.checksum), "of the content at {position}");
        }
        if let Some(at) = self.history.iter().rposition(|before| *before == durable) {
            self.history.drain(..at);
        }
    }

    /// The process ends, and with `power_lost` the machine too: then unsynced files and names are kept as this says. The
    /// next process opens the database. Returns whether it can.
    pub(super) fn restart(&mut self, power_lost: Option<u8>) -> bool {
        // Where programs wrote without a journal, what is in the database file is committed, whatever it is.
        let adopts = self.disk.content(File::Unjournaled).is_some();
        let settled = self.is_settled() && !adopts;
        let unsynced = self.driver.log().durable().txid < self.driver.database().outside_wal().txid;
        let power_lost = power_lost.filter(|_| !self.careless && !unsynced);
        match power_lost {
            Some(kept) => self.disk.lose_power(kept & 1 != 0, |file| kept & bit_of(file) != 0),
            None => self.disk.refuse_nothing(),
        }
        match open(&self.disk, self.options) {
            Ok(driver) => self.driver = driver,
            // A program was in the middle of replacing the database file.
            Err(OpenError::Incomplete) if adopts => return false,
            Err(error) => panic!("cannot be opened: {error}"),
        }
        let position = self.driver.position();
        let last = self.history.last().copied().unwrap_or_default();
        if power_lost.is_none() && settled {
            assert_eq!(position, last, "the process alone died");
        }
        if !self.history.contains(&position) && self.received.take() != Some(position) {
            let durable = self.history[0];
            assert!(position.txid > durable.txid, "opened at {position}, durable was {durable}");
            assert!(!settled || power_lost.is_some(), "opened at {position}, nobody was ever there");
        }
        self.history = vec![position];
        self.careless &= power_lost.is_none();
        self.check();
        true
    }
}

fn bit_of(file: File) -> u8 {
    match file {
        File::Database => 2,
        File::Journal => 4,
        File::Wal => 8,
        File::Segment(_) => 16,
        File::Sums | File::SumsNew => 32,
        File::Shm => 64,
        File::Unjournaled => 128,
    }
}

fn open(disk: &MemoryDisk, options: Options) -> Result<Driver<MemoryDisk>, OpenError> {
    let (mut driver, recovered) =
        Driver::open(disk.clone(), options, SEGMENT_LEN, &super_journal_exists, NOW)?;
    assert_eq!(driver.position(), recovered.position);
    if driver.promote().is_ok() {
        driver.set_authority(Authority::Forever);
    }
    Ok(driver)
}

/// Whether a super-journal is there is in its name.
fn super_journal_exists(name: &[u8]) -> bool {
    name.ends_with(b"1")
}
