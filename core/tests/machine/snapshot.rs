//! The database as it was, read while programs go on.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use litefs_core::database::{Inspector, Request};
use litefs_core::drive::Driver;
use litefs_core::snapshot::{ExportReader, Image, SnapshotError, SnapshotReader};
use litefs_core::{Errno, File, NodeId, ReadAt, View, WriteAt};

use crate::fixture::{
    MemoryDisk, NOW, PAGE, WalWriter, checkpoint, commit_delete, filled, first_page, open, page, wal_database,
};

/// A file of the database, held open.
#[derive(Debug)]
struct Handle(MemoryDisk, File);

impl ReadAt for Handle {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        self.0.read_at(self.1, offset, buf)
    }
}

/// Where pages are put aside, until it is full.
#[derive(Debug)]
struct Scratch {
    bytes: Mutex<Vec<u8>>,
    /// Pages that there is room for.
    room: AtomicU32,
}

impl ReadAt for Scratch {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        self.bytes.lock().unwrap().read_at(offset, buf)
    }
}

impl WriteAt for Scratch {
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let mut bytes = self.bytes.lock().unwrap();
        let end = offset as usize + data.len();
        let room = self.room.load(Ordering::Relaxed).checked_sub(1).ok_or(Errno::ENOSPC)?;
        self.room.store(room, Ordering::Relaxed);
        let len = bytes.len().max(end);
        bytes.resize(len, 0);
        bytes[end - data.len()..end].copy_from_slice(data);
        Ok(())
    }
}

fn image(disk: &MemoryDisk, driver: &mut Driver<MemoryDisk>, room: u32) -> Image<Handle, Scratch> {
    let handle = |file| disk.content(file).map(|_| Handle(disk.clone(), file));
    let scratch = Scratch { bytes: Mutex::default(), room: room.into() };
    Image::take(driver, handle(File::Database), handle(File::Wal), scratch).unwrap()
}

/// Reads to the end, in pieces that are no pages.
fn read_all(
    mut read: impl FnMut(&mut [u8]) -> Result<usize, SnapshotError>,
) -> Result<Vec<u8>, SnapshotError> {
    let (mut all, mut piece) = (Vec::new(), [0; 100]);
    loop {
        match read(&mut piece)? {
            0 => return Ok(all),
            count => all.extend_from_slice(&piece[..count]),
        }
    }
}

/// A database in WAL mode whose page 2 is in the WAL, and both pages as they are.
fn database() -> (MemoryDisk, Driver<MemoryDisk>, WalWriter, Vec<u8>) {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(9)).unwrap();
    (disk, driver, wal, [first_page(2, true, 1), filled(9)].concat())
}

/// Changes both pages, gets all into the database file, and begins the WAL again.
fn go_on(disk: &MemoryDisk, driver: &mut Driver<MemoryDisk>, wal: &mut WalWriter) {
    let first = first_page(2, true, 2);
    wal.write(driver, 1, 0, &first).unwrap();
    wal.write(driver, 2, 2, &filled(10)).unwrap();
    checkpoint(disk, 1, &first);
    checkpoint(disk, 2, &filled(10));
    let mut wal = WalWriter::begin_over(driver, 200);
    wal.write(driver, 2, 2, &filled(11)).unwrap();
}

#[test]
fn export_is_what_the_database_was_whatever_came_of_its_files() {
    let (disk, mut driver, mut wal, expected) = database();
    let mut export = ExportReader::new(image(&disk, &mut driver, 2));
    assert_eq!((export.position(), export.len()), (driver.position(), expected.len() as u64));
    go_on(&disk, &mut driver, &mut wal);
    assert_eq!(read_all(|piece| export.read(piece)).unwrap(), expected);
}

#[test]
fn snapshot_is_of_a_state_that_this_node_cannot_lose() {
    let (disk, mut driver, _, _) = database();
    assert_ne!(driver.durable(), driver.position(), "the log is behind the WAL, which was not synced");
    let image = image(&disk, &mut driver, 2);
    assert_eq!((image.position(), driver.durable()), (driver.position(), driver.position()));
}

#[test]
fn page_that_was_read_is_not_kept() {
    let (disk, mut driver, mut wal, expected) = database();
    // The second page takes it.
    let mut export = ExportReader::new(image(&disk, &mut driver, 1));
    let mut found = vec![0; PAGE];
    assert_eq!(export.read(&mut found).unwrap(), PAGE);
    go_on(&disk, &mut driver, &mut wal);
    found.extend(read_all(|piece| export.read(piece)).unwrap());
    assert_eq!(found, expected);
}

#[test]
fn snapshot_is_a_transaction_that_leads_to_its_position() {
    let (disk, mut driver, mut wal, _) = database();
    let before = driver.position();
    let image = image(&disk, &mut driver, 2);
    let mut snapshot = SnapshotReader::new(image, true, NodeId::new(7), 1).unwrap();
    go_on(&disk, &mut driver, &mut wal);
    let file = read_all(|piece| snapshot.read(piece)).unwrap();
    let mut inspector = Inspector::default();
    inspector.feed(&file).unwrap();
    let found = inspector.finish().unwrap();
    assert_eq!((found.position(), found.header.is_snapshot()), (before, true));
}

#[test]
fn page_that_could_not_be_kept_ends_the_image_and_not_the_writer() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    commit_delete(&mut driver, &[(1, first_page(2, false, 1)), (2, filled(2))]).unwrap();
    let position = driver.position();
    let mut export = ExportReader::new(image(&disk, &mut driver, 0));
    commit_delete(&mut driver, &[(1, first_page(2, false, 2)), (2, filled(3))]).unwrap();
    let error = read_all(|piece| export.read(piece)).unwrap_err();
    assert_eq!(error, SnapshotError::Lost { page: page(1), position });
}

#[test]
fn export_of_a_database_without_pages_is_empty() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    let mut export = ExportReader::new(image(&disk, &mut driver, 0));
    assert!(export.is_empty());
    assert_eq!(read_all(|piece| export.read(piece)).unwrap(), []);
}
