//! The disk operations of each kind of commit, in order: an extra or a missing sync shows here.

use litefs_core::database::Request;
use litefs_core::{File, Txid};

use crate::fixture::{
    MemoryDisk, NOW, checkpoint, commit_delete, filled, first_page, open, wal_database, write,
};

#[test]
fn commit_with_a_deleted_journal_syncs_the_log_once_before_the_journal_goes() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    commit_delete(&mut driver, &[(1, first_page(1, false, 1))]).unwrap();
    disk.take_trace();
    let position = commit_delete(&mut driver, &[(1, first_page(2, false, 2)), (2, filled(1))]).unwrap();
    assert_eq!(position.txid, Txid::new(2));
    insta::assert_debug_snapshot!(disk.take_trace(), @r#"
    [
        "set_len Journal 0",
        "write Journal",
        "sync Journal",
        "sync_directory",
        "write Database",
        "write Database",
        "sync Database",
        "write Segment(1)",
        "sync Segment(1)",
        "remove Journal",
    ]
    "#);
}

#[test]
fn commit_without_any_sync_of_the_program_does_not_sync_the_log() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    driver.request(Request::Create(File::Journal), NOW).unwrap();
    write(&mut driver, File::Journal, 0, &[0xd9; 512]).unwrap();
    write(&mut driver, File::Database, 0, &first_page(1, false, 1)).unwrap();
    disk.take_trace();
    driver.request(Request::SetLen { file: File::Journal, len: 0 }, NOW).unwrap();
    assert_eq!(driver.position().txid, Txid::new(1));
    insta::assert_debug_snapshot!(disk.take_trace(), @r#"
    [
        "set_len Segment(1) 0",
        "write Segment(1)",
        "write Segment(1)",
        "set_len Journal 0",
    ]
    "#);
}

#[test]
fn commit_to_the_wal_is_the_write_alone() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(9)).unwrap();
    assert_eq!(driver.position().txid, Txid::new(2));
    insta::assert_debug_snapshot!(disk.take_trace(), @r#"
    [
        "write Wal",
        "write Wal",
    ]
    "#);
    driver.append_pending().unwrap();
    insta::assert_debug_snapshot!(disk.take_trace(), @r#"
    [
        "write Segment(1)",
    ]
    "#);
}

#[test]
fn sync_of_the_wal_makes_the_commit_durable_without_the_log() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(9)).unwrap();
    driver.append_pending().unwrap();
    assert_ne!(driver.durable(), driver.position());
    disk.take_trace();
    driver.request(Request::Sync(File::Wal), NOW).unwrap();
    assert_eq!(driver.durable(), driver.position());
    insta::assert_debug_snapshot!(disk.take_trace(), @r#"
    [
        "sync Wal",
        "sync_directory",
    ]
    "#);
}

#[test]
fn wal_starts_over_only_after_its_transactions_are_durable_in_the_log() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(9)).unwrap();
    checkpoint(&disk, 2, &filled(9));
    disk.take_trace();
    let _ = crate::fixture::WalWriter::begin_over(&mut driver, 101);
    insta::assert_debug_snapshot!(disk.take_trace(), @r#"
    [
        "write Segment(1)",
        "sync Segment(1)",
        "write Wal",
    ]
    "#);
}

#[test]
fn drop_is_in_the_log_before_the_files_go() {
    let (disk, mut driver, _) = wal_database();
    driver.request(Request::Remove(File::Database), NOW).unwrap();
    insta::assert_debug_snapshot!(disk.take_trace(), @r#"
    [
        "write Segment(1)",
        "sync Segment(1)",
        "remove Database",
        "remove Journal",
        "remove Wal",
        "remove Shm",
        "remove Sums",
        "sync_directory",
    ]
    "#);
    assert_eq!(driver.database().page_count(), 0);
}

#[test]
fn rollback_is_no_transaction() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    let before = commit_delete(&mut driver, &[(1, first_page(2, false, 1)), (2, filled(1))]).unwrap();
    driver.request(Request::Create(File::Journal), NOW).unwrap();
    write(&mut driver, File::Journal, 0, &[0xd9; 512]).unwrap();
    write(&mut driver, File::Database, 512, &filled(8)).unwrap();
    // SQLite writes the page back from the journal, and then ends the journal as it does at a commit.
    write(&mut driver, File::Database, 512, &filled(1)).unwrap();
    driver.request(Request::Remove(File::Journal), NOW).unwrap();
    assert_eq!(driver.position(), before);
}
