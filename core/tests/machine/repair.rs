//! A database that follows a LiteFS primary, which leaves pages out that SQLite never wrote.

use litefs_core::database::{Admission, Applied, Authority, Received};
use litefs_core::drive::StoredFile;
use litefs_core::{Checksum, File, NodeId, PageNumber, PageSize, Position, Txid, ltx};

use crate::fixture::{MemoryDisk, NOW, PAGE, filled, first_page, open, page};

/// An LTX file with these pages, and what is known of it.
fn received(before: Position, pages: &[(u32, Vec<u8>)], commit: u32, post: Checksum) -> (Received, Vec<u8>) {
    let header = ltx::Header {
        compressed: false,
        page_size: PageSize::new(PAGE as u32).unwrap(),
        commit,
        min_txid: before.txid.next(),
        max_txid: before.txid.next(),
        timestamp_ms: 1,
        pre_apply: before.checksum,
        wal_offset: 0,
        wal_size: 0,
        wal_salt: [0, 0],
        node_id: NodeId::new(9),
    };
    let mut encoder = ltx::Encoder::new(header).unwrap();
    for (number, content) in pages {
        encoder.page(page(*number), content).unwrap();
    }
    encoder.finish(post).unwrap();
    let sums =
        pages.iter().map(|(number, content)| (page(*number), Checksum::of_page(page(*number), content)));
    let received = Received { header, post_apply: post, sums: sums.collect(), journal_mode: None };
    (received, std::mem::take(encoder.output()))
}

/// The checksum of these pages, without those between them.
fn total(pages: &[(u32, Vec<u8>)]) -> Checksum {
    let sums = pages.iter().map(|(number, content)| Checksum::of_page(page(*number), content));
    sums.fold(Checksum::EMPTY, Checksum::toggle)
}

/// A replica at transaction 2, whose page 2 never came.
fn replica() -> (MemoryDisk, Position) {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.set_authority(Authority::ReadOnly);
    let first = [(1, first_page(1, false, 1))];
    let second = [(1, first_page(3, false, 2)), (3, filled(3))];
    let mut before = Position::ZERO;
    for (pages, commit) in [(&first[..], 1), (&second[..], 3)] {
        let (received, file) = received(before, pages, commit, total(pages));
        let admission = driver.receive(&received, &&file[..], file.len() as u64).unwrap();
        assert_ne!(admission, Admission::Old);
        for (number, content) in pages {
            let offset = u64::from(number - 1) * PAGE as u64;
            litefs_core::Disk::write_at(&disk, File::Database, offset, content).unwrap();
        }
        driver.applied(&received, Applied::Direct).unwrap();
        before = driver.position();
    }
    assert_eq!(before.checksum, total(&second));
    driver.close().unwrap();
    (disk, before)
}

#[test]
fn absent_pages_stay_absent_over_a_restart_even_without_saved_checksums() {
    let (disk, position) = replica();
    assert_eq!(open(&disk.fork()).1.position, position);
    let forgetful = disk.fork();
    litefs_core::Disk::remove(&forgetful, File::Sums).unwrap();
    let (driver, _) = open(&forgetful);
    assert_eq!(driver.position(), position);
    let absent: Vec<PageNumber> = driver.database().sums().absent(PageSize::MIN).collect();
    assert_eq!(absent, [page(2)]);
}

#[test]
fn primary_gives_absent_pages_a_checksum_by_a_transaction_of_its_own() {
    let (disk, position) = replica();
    let (mut driver, _) = open(&disk);
    driver.set_authority(Authority::Forever);
    assert!(driver.repair(NOW).unwrap());
    let whole = [(1, first_page(3, false, 2)), (2, filled(0)), (3, filled(3))];
    assert_eq!(driver.position(), Position { txid: position.txid.next(), checksum: total(&whole) });
    let stored = *driver.log().find(Txid::new(3)).unwrap();
    let mut bytes = vec![0; stored.len as usize];
    litefs_core::ReadAt::read_at(&StoredFile::new(&disk, stored), 0, &mut bytes).unwrap();
    let sent = ltx::decode_all(&bytes).unwrap();
    assert_eq!(sent.pages, [(page(2), filled(0))]);
    assert!(!driver.repair(NOW).unwrap(), "once is enough");
    assert_eq!(open(&disk.fork()).1.position, driver.position(), "and it survives a crash");
}

#[test]
fn absent_pages_are_whole_as_long_as_they_hold_nothing() {
    let (disk, _) = replica();
    assert_eq!(litefs_core::drive::verify(&disk).unwrap().findings, []);
    litefs_core::Disk::write_at(&disk, File::Database, PAGE as u64, b"x").unwrap();
    assert_ne!(litefs_core::drive::verify(&disk).unwrap().findings, []);
}
