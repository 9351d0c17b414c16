//! Commits that may not be.

use litefs_core::database::{Authority, Request};
use litefs_core::{Errno, File, Now, Txid};

use crate::fixture::{MemoryDisk, NOW, commit_delete, filled, first_page, open, wal_database, write};

#[test]
fn bytes_of_a_refused_commit_are_never_written() {
    let (disk, mut driver, mut wal) = wal_database();
    let frame = wal.frame(2, 2, &filled(9));
    write(&mut driver, File::Wal, wal.end(), &frame.encode()).unwrap();
    driver.set_authority(Authority::ReadOnly);
    let before = disk.content(File::Wal);
    assert_eq!(write(&mut driver, File::Wal, wal.end() + 24, &filled(9)), Err(Errno::EACCES));
    assert_eq!(disk.content(File::Wal), before);
    assert_eq!(driver.position().txid, Txid::new(1));
    wal.skip(frame, &filled(9));
}

#[test]
fn full_log_refuses_the_commit_and_its_retry_until_a_new_attempt() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(3)).unwrap();
    disk.refuse("write Segment", Errno::ENOSPC);
    assert_eq!(driver.append_pending(), Err(Errno::ENOSPC));
    let frame = wal.frame(2, 2, &filled(9));
    write(&mut driver, File::Wal, wal.end(), &frame.encode()).unwrap();
    let page_at = wal.end() + 24;
    assert_eq!(write(&mut driver, File::Wal, page_at, &filled(9)), Err(Errno::ENOSPC));
    // Space came back, but SQLite takes up the short write where it ended: that is still the refused attempt.
    disk.refuse_nothing();
    driver.append_pending().unwrap();
    assert_eq!(write(&mut driver, File::Wal, page_at + 100, &filled(9)[100..]), Err(Errno::ENOSPC));
    assert_eq!(driver.position().txid, Txid::new(2));
    wal.write(&mut driver, 2, 2, &filled(9)).unwrap();
    assert_eq!(driver.position().txid, Txid::new(3));
}

#[test]
fn lease_that_has_run_out_refuses_the_commit() {
    let (_, mut driver, wal) = wal_database();
    driver.set_authority(Authority::Until(5_000));
    let frame = wal.frame(2, 2, &filled(9));
    write(&mut driver, File::Wal, wal.end(), &frame.encode()).unwrap();
    let late = Now { monotonic_ns: 5_000, ..NOW };
    let data = filled(9);
    let page = Request::Write { file: File::Wal, offset: wal.end() + 24, data: &data };
    assert_eq!(driver.request(page, late), Err(Errno::EACCES));
}

#[test]
fn log_that_cannot_be_synced_stops_the_database() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    commit_delete(&mut driver, &[(1, first_page(1, false, 1))]).unwrap();
    disk.refuse("sync Segment", Errno::EIO);
    assert_eq!(commit_delete(&mut driver, &[(1, first_page(1, false, 2))]), Err(Errno::EIO));
    assert!(driver.database().stopped().is_some());
    disk.refuse_nothing();
    assert_eq!(write(&mut driver, File::Database, 0, &first_page(1, false, 3)), Err(Errno::EIO));
}

#[test]
fn full_disk_refuses_a_commit_in_rollback_mode_and_the_next_one_succeeds() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    commit_delete(&mut driver, &[(1, first_page(1, false, 1))]).unwrap();
    disk.refuse("write Segment", Errno::ENOSPC);
    assert_eq!(commit_delete(&mut driver, &[(1, first_page(1, false, 2))]), Err(Errno::ENOSPC));
    disk.refuse_nothing();
    // SQLite rolls back from its journal, which is still there.
    write(&mut driver, File::Database, 0, &first_page(1, false, 1)).unwrap();
    driver.request(Request::Remove(File::Journal), NOW).unwrap();
    assert_eq!(driver.position().txid, Txid::new(1));
    assert_eq!(commit_delete(&mut driver, &[(1, first_page(1, false, 3))]).unwrap().txid, Txid::new(2));
}

#[test]
fn replica_refuses_the_journal_and_may_still_roll_a_hot_one_back() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    commit_delete(&mut driver, &[(1, first_page(1, false, 1))]).unwrap();
    driver.request(Request::Create(File::Journal), NOW).unwrap();
    write(&mut driver, File::Journal, 0, &[0xd9; 512]).unwrap();
    write(&mut driver, File::Database, 0, &first_page(1, false, 2)).unwrap();
    driver.set_authority(Authority::ReadOnly);
    assert_eq!(driver.request(Request::Remove(File::Journal), NOW), Err(Errno::EACCES));
    write(&mut driver, File::Database, 0, &first_page(1, false, 1)).unwrap();
    driver.request(Request::Remove(File::Journal), NOW).unwrap();
    assert_eq!(driver.position().txid, Txid::new(1));
    assert_eq!(driver.request(Request::Create(File::Journal), NOW), Err(Errno::EACCES));
    assert_eq!(write(&mut driver, File::Database, 0, &first_page(1, false, 2)), Err(Errno::EIO));
}

#[test]
fn b10_journal_that_cannot_be_shortened_after_the_commit_is_no_error() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    driver.request(Request::Create(File::Journal), NOW).unwrap();
    write(&mut driver, File::Journal, 0, &[0xd9; 4096]).unwrap();
    driver.request(Request::Sync(File::Journal), NOW).unwrap();
    write(&mut driver, File::Database, 0, &first_page(1, false, 1)).unwrap();
    write(&mut driver, File::Journal, 0, &[0; 28]).unwrap();
    assert_eq!(driver.position().txid, Txid::new(1));
    disk.refuse("set_len Journal", Errno::EIO);
    driver.request(Request::SetLen { file: File::Journal, len: 1024 }, NOW).unwrap();
    disk.refuse_nothing();
    driver.request(Request::SetLen { file: File::Journal, len: 1024 }, NOW).unwrap();
    assert_eq!(disk.content(File::Journal).map(|content| content.len()), Some(1024));
}
