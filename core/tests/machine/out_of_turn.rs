//! What programs do that SQLite would not: refused, or kept apart from what is committed.

use litefs_core::database::Request;
use litefs_core::{Disk, Errno, File, Txid};

use crate::fixture::{
    MemoryDisk, NOW, WalWriter, checkpoint, checksum, commit_delete, filled, first_page, open, wal_database,
    write,
};

#[test]
fn commit_of_more_pages_than_its_frames_can_account_for_is_refused() {
    let (_, mut driver, mut wal) = wal_database();
    let position = driver.position();
    assert_eq!(wal.write(&mut driver, 2, 0x7fff_ffff, &filled(9)), Err(Errno::EFBIG));
    assert_eq!(driver.position(), position);
}

#[test]
fn first_page_that_is_no_database_is_not_committed_to_the_wal() {
    let (_, mut driver, mut wal) = wal_database();
    let position = driver.position();
    assert_eq!(wal.write(&mut driver, 1, 2, &filled(9)), Err(Errno::EIO));
    assert_eq!(driver.position(), position);
}

#[test]
fn journal_over_a_wal_that_has_more_than_the_database_is_refused() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(9)).unwrap();
    let position = driver.position();
    let pages = [(1, first_page(2, false, 2)), (2, filled(3))];
    assert_eq!(commit_delete(&mut driver, &pages), Err(Errno::EIO));
    assert_eq!(driver.position(), position);
    // After a checkpoint the WAL is given up.
    checkpoint(&disk, 2, &filled(9));
    commit_delete(&mut driver, &pages).unwrap();
    assert_eq!(driver.position().checksum, checksum(&[first_page(2, false, 2), filled(3)]));
    assert_eq!(disk.content(File::Wal), Some(Vec::new()));
    assert_eq!(open(&disk.fork()).1.position, driver.position());
}

#[test]
fn wal_over_an_open_journal_is_refused() {
    let (_, mut driver, wal) = wal_database();
    driver.request(Request::Remove(File::Wal), NOW).unwrap();
    driver.request(Request::Create(File::Journal), NOW).unwrap();
    write(&mut driver, File::Journal, 0, &[0xd9; 512]).unwrap();
    let frame = wal.frame(2, 2, &filled(9));
    assert_eq!(write(&mut driver, File::Wal, 0, &[0; 32]), Err(Errno::EIO));
    assert_eq!(write(&mut driver, File::Wal, wal.end(), &frame.encode()), Err(Errno::EIO));
}

#[test]
fn journal_that_never_began_ends_nothing() {
    let (_, mut driver, _) = wal_database();
    driver.request(Request::Remove(File::Wal), NOW).unwrap();
    let position = driver.position();
    driver.request(Request::Create(File::Journal), NOW).unwrap();
    write(&mut driver, File::Database, 512, &filled(9)).unwrap();
    driver.request(Request::Remove(File::Journal), NOW).unwrap();
    assert_eq!((driver.position(), driver.database().is_dirty()), (position, true));
    driver.request(Request::Closed, NOW).unwrap();
    assert_eq!(driver.position().txid, position.txid.next());
}

#[test]
fn what_is_no_database_any_more_is_not_committed() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    let position = commit_delete(&mut driver, &[(1, first_page(2, false, 1)), (2, filled(2))]).unwrap();
    for wrong in [filled(0), first_page(0x7fff_ffff, false, 2)] {
        assert_eq!(commit_delete(&mut driver, &[(1, wrong)]), Err(Errno::EIO));
        assert_eq!(driver.position(), position);
        assert!(driver.database().has_active_journal());
    }
}

#[test]
fn file_that_is_cut_beneath_the_wal_is_looked_at_again() {
    let (_, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 1, 2, &first_page(2, true, 2)).unwrap();
    driver.request(Request::SetLen { file: File::Database, len: 512 }, NOW).unwrap();
    assert!(driver.database().is_dirty(), "page 2 is nowhere else");
    let (_, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(9)).unwrap();
    driver.request(Request::SetLen { file: File::Database, len: 512 }, NOW).unwrap();
    assert!(!driver.database().is_dirty(), "page 2 is in the WAL");
}

#[test]
fn file_that_is_cut_within_a_transaction_is_compared() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    commit_delete(&mut driver, &[(1, first_page(2, false, 1)), (2, filled(2))]).unwrap();
    driver.request(Request::Create(File::Journal), NOW).unwrap();
    write(&mut driver, File::Journal, 0, &[0xd9; 512]).unwrap();
    driver.request(Request::SetLen { file: File::Database, len: 512 }, NOW).unwrap();
    assert_eq!(driver.request(Request::Remove(File::Journal), NOW), Err(Errno::EIO));
}

#[test]
fn sync_of_a_wal_says_nothing_of_what_only_the_log_has() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    driver.request(Request::Create(File::Journal), NOW).unwrap();
    write(&mut driver, File::Journal, 0, &[0xd9; 512]).unwrap();
    write(&mut driver, File::Database, 0, &first_page(1, true, 1)).unwrap();
    driver.request(Request::Remove(File::Journal), NOW).unwrap();
    driver.request(Request::Sync(File::Wal), NOW).unwrap();
    assert_eq!((driver.position().txid, driver.durable().txid), (Txid::new(1), Txid::ZERO));
    // Where a WAL begins, the log is synced.
    let _ = WalWriter::begin(&mut driver, 100);
    assert_eq!(driver.durable(), driver.position());
}

#[test]
fn segment_that_was_only_about_to_begin_is_not_the_newest() {
    let (disk, mut driver, _) = wal_database();
    let position = driver.position();
    commit_delete(&mut driver, &[(2, filled(9))]).unwrap();
    driver.sync_log().unwrap();
    let torn = disk.content(File::Segment(1)).unwrap();
    disk.replace(File::Segment(1), torn[..torn.len() - 9].to_vec());
    disk.replace(File::Segment(2), vec![0; 7]);
    disk.remove(File::Wal).unwrap();
    disk.replace(File::Database, [first_page(2, true, 1), filled(2)].concat());
    let (_, recovered) = open(&disk.fork());
    assert_eq!((recovered.position, recovered.damage), (position, vec![]));
    let fork = disk.fork();
    let _ = open(&fork);
    assert_eq!(fork.content(File::Segment(2)), None);
}
