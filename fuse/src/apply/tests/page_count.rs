//! The number of pages in the wal-index of an empty WAL.

use litefs_core::apply::LockKind;
use litefs_core::sqlite::lock::WRITE_BYTE;

use super::locks::HeldLock;
use super::*;

#[test]
fn page_count_is_shown_while_nobody_reads() {
    let source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    assert!(replica.applier.checkpoint().is_ok());
    let mut client = replica.connect();
    let pages = client.get("PRAGMA page_count");
    let mut other = replica.connect();
    // SQLite would refuse to let it write if what it has read were to change.
    client.get("BEGIN; SELECT seq FROM meta");
    assert!(!replica.applier.show_page_count().unwrap());
    client.get("UPDATE meta SET seq = 1; ROLLBACK");

    assert!(replica.applier.show_page_count().unwrap());
    assert!(!replica.applier.show_page_count().unwrap(), "it is shown already");
    for client in [&mut client, &mut other] {
        assert_eq!(client.get("PRAGMA page_count"), pages);
        assert_eq!(client.get("PRAGMA integrity_check"), "ok");
    }
    client.get("BEGIN IMMEDIATE; UPDATE meta SET seq = 2; CREATE TABLE more (x); COMMIT");
    assert_eq!(other.get("SELECT seq FROM meta"), "2");
    assert!(!replica.applier.show_page_count().unwrap(), "the WAL is not empty");
    client.get("PRAGMA wal_checkpoint(TRUNCATE)");
    assert_eq!(other.get("PRAGMA integrity_check"), "ok");
}

#[test]
fn page_count_is_not_shown_while_a_writer_begins_the_wal() {
    let source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    assert!(replica.applier.checkpoint().is_ok());
    let mut client = replica.connect();
    client.get("SELECT seq FROM meta");
    // For a moment the writer holds this lock alone.
    let writer = HeldLock::take(&replica.path("-shm"), WRITE_BYTE, 1, LockKind::Write).unwrap();
    assert!(!replica.applier.show_page_count().unwrap());
    drop(writer);
    assert!(replica.applier.show_page_count().unwrap());
    client.get("UPDATE meta SET seq = 1");
}

#[test]
fn page_count_is_not_shown_to_nobody() {
    let source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut client = replica.connect();
    client.get("SELECT seq FROM meta");
    client.kill();
    assert!(!replica.applier.show_page_count().unwrap());
    assert_eq!(replica.connect().get("PRAGMA integrity_check"), "ok");
}
