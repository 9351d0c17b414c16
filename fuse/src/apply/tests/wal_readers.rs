//! Readers in WAL mode beside an applier.

use litefs_core::apply::LockKind;
use litefs_core::sqlite::lock::{DMS_BYTE, PENDING_BYTE, SHARED_FIRST, SHARED_LEN};

use super::locks::HeldLock;
use super::*;

#[test]
fn readers_see_each_transaction_whole_and_none_twice() {
    let mut source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut readers: Vec<Client> = (0..3).map(|_| replica.connect()).collect();
    for reader in &mut readers {
        reader.get("SELECT count(*) FROM account");
        reader.watch(400);
    }

    for seq in 1..=400 {
        let applied = replica.apply(&source.transfer(seq)).unwrap();
        assert!(is_wal(&applied), "the readers were not noticed");
    }

    for mut reader in readers {
        let states: u64 = reader.finish().unwrap().parse().unwrap();
        assert!(states > 1, "the reader saw {states} states: it did not read beside the applier");
    }
    assert!(replica.applier.checkpoint().unwrap().is_complete());
    replica.assert_file_is(&source);
}

#[test]
fn wal_begins_again_under_short_readers() {
    let mut source = Source::new("wal", 512);
    let mut replica = Replica::of(&source);
    let mut reader = replica.connect();
    reader.get("SELECT 1 FROM account");
    reader.watch(700);
    let (mut restarts, mut before) = (0, 0);
    for seq in 1..=700 {
        let Applied::Wal { end, .. } = replica.apply(&source.transfer(seq)).unwrap() else {
            panic!("not in the WAL")
        };
        restarts += u32::from(end < before);
        before = end;
    }
    reader.finish().unwrap();
    assert!(restarts > 0, "the WAL never began again, and has {before} bytes");
}

#[test]
fn long_reader_keeps_its_snapshot_and_is_not_waited_for() {
    let mut source = Source::new("wal", 512);
    let mut replica = Replica::of(&source);
    // One reader in the database file alone, one in the WAL.
    let mut reader = replica.connect();
    reader.get("BEGIN; SELECT seq FROM meta");
    replica.apply(&source.transfer(1)).unwrap();
    let mut second = replica.connect();
    second.get("BEGIN; SELECT seq FROM meta");

    // Enough for several blocks of the wal-index.
    let mut frames = 0;
    for seq in 2..=700 {
        if let Applied::Wal { frames: new, .. } = replica.apply(&source.transfer(seq)).unwrap() {
            frames += new.len();
        }
    }
    assert!(frames > 5000, "{frames} frames are too few for this test");

    assert_eq!(reader.get("SELECT seq FROM meta"), "0");
    assert_eq!(reader.get("PRAGMA integrity_check"), "ok");
    assert!(!replica.applier.checkpoint().unwrap().is_complete(), "a reader's pages were overwritten");
    assert_eq!(reader.get("COMMIT; SELECT seq FROM meta"), "700");
    assert_eq!(reader.get("PRAGMA integrity_check"), "ok");
    assert!(!replica.applier.checkpoint().unwrap().is_complete(), "a reader's pages were overwritten");
    assert_eq!(second.get("SELECT seq FROM meta"), "1");
    assert_eq!(second.get("PRAGMA integrity_check"), "ok");
    second.get("COMMIT");
    assert!(replica.applier.checkpoint().unwrap().is_complete());
    replica.assert_file_is(&source);
}

#[test]
fn programs_cannot_write_or_checkpoint_beside_the_applier() {
    let mut source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut client = replica.connect();
    client.get("SELECT 1 FROM account");
    replica.apply(&source.transfer(1)).unwrap();
    assert_eq!(client.run("UPDATE meta SET seq = 9").unwrap_err(), "error database is locked");
    assert_eq!(client.get("PRAGMA wal_checkpoint(TRUNCATE)"), "1");
    assert_eq!(client.get("SELECT seq FROM meta"), "1");
}

#[test]
fn program_that_closes_the_database_last_leaves_the_wal_to_the_applier() {
    let mut source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut first = replica.connect();
    first.get("SELECT 1 FROM account");
    replica.apply(&source.transfer(1)).unwrap();
    drop(first);
    assert!(std::fs::metadata(replica.path("-wal")).unwrap().len() > 0);
    let len = SHARED_FIRST + SHARED_LEN - PENDING_BYTE;
    let exclusive = HeldLock::take(&replica.path(""), PENDING_BYTE, len, LockKind::Write);
    assert!(exclusive.is_none(), "a program could take the WAL away");
    assert!(is_wal(&replica.apply(&source.transfer(2)).unwrap()));
    assert!(replica.applier.checkpoint().unwrap().is_complete());
    assert_eq!(replica.apply(&source.transfer(3)).unwrap(), Applied::Direct);
    replica.assert_file_is(&source);
    assert_eq!(replica.connect().get("SELECT seq FROM meta"), "3");
}

#[test]
fn snapshot_replaces_the_database_beneath_readers() {
    let mut source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut reader = replica.connect();
    let mut holder = replica.connect();
    reader.get("SELECT 1 FROM account");
    holder.get("BEGIN; SELECT seq FROM meta");
    let mut other = Source::new("wal", 4096);
    for seq in 1..=50 {
        other.transfer(seq);
    }

    assert!(is_wal(&replica.apply(&other.snapshot()).unwrap()));

    assert_eq!(reader.get("SELECT seq FROM meta"), "50");
    assert_eq!(reader.get("PRAGMA integrity_check"), "ok");
    assert_eq!(holder.get("SELECT seq FROM meta"), "0");
    assert_eq!(holder.get("PRAGMA integrity_check"), "ok");
    assert_eq!(holder.get("COMMIT; SELECT seq FROM meta"), "50");
    let _ = source.transfer(1);
}

#[test]
fn page_that_comes_back_unwritten_is_zeros() {
    let source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut reader = replica.connect();
    reader.get("SELECT 1 FROM account");
    let all = source.snapshot();
    let mut shrunk = Transaction { commit: all.commit - 1, snapshot: false, ..all.clone() };
    shrunk.pages.truncate(1);
    replica.apply(&shrunk).unwrap();
    let mut grown = Transaction { commit: all.commit, ..shrunk };
    grown.pages.clear();
    replica.apply(&grown).unwrap();
    drop(reader);
    assert!(replica.applier.checkpoint().unwrap().is_complete());
    let file = std::fs::read(replica.path("")).unwrap();
    assert_eq!(file.len(), source.image().len());
    assert!(file[file.len() - 4096..].iter().all(|byte| *byte == 0));
}

#[test]
fn sources_that_fail_leave_no_trace_beside_readers() {
    let mut source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut reader = replica.connect();
    reader.get("SELECT 1 FROM account");
    replica.apply(&source.transfer(1)).unwrap();
    let mut bad = source.transfer(2);
    let good = bad.clone();
    let last = bad.pages.last_mut().unwrap();
    last.1.pop();
    let error = replica.apply(&bad).unwrap_err();
    assert!(matches!(error, ApplyError::PageLength { found: 4095, expected: 4096, .. }), "{error}");
    assert_eq!(reader.get("SELECT seq FROM meta"), "1");
    replica.apply(&good).unwrap();
    assert_eq!(reader.get("SELECT seq FROM meta"), "2");
    assert_eq!(reader.get("PRAGMA integrity_check"), "ok");
}

#[test]
fn wal_is_kept_while_anybody_has_its_index_mapped() {
    let mut source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut reader = replica.connect();
    reader.get("SELECT 1 FROM account");
    replica.apply(&source.transfer(1)).unwrap();
    let mapped = HeldLock::take(&replica.path("-shm"), DMS_BYTE, 1, LockKind::Read).unwrap();
    drop(reader);
    assert!(replica.applier.checkpoint().unwrap().is_complete());
    assert!(is_wal(&replica.apply(&source.transfer(2)).unwrap()));
    drop(mapped);
    assert!(replica.applier.checkpoint().unwrap().is_complete());
    assert_eq!(replica.apply(&source.transfer(3)).unwrap(), Applied::Direct);
}

#[test]
fn checkpoint_shortens_the_database_file() {
    let mut source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut reader = replica.connect();
    reader.get("SELECT 1 FROM account");
    replica.apply(&source.run("INSERT INTO log VALUES(1, zeroblob(100000))")).unwrap();
    assert!(replica.applier.checkpoint().unwrap().is_complete());
    replica.assert_file_is(&source);
    replica.apply(&source.run("DELETE FROM log; PRAGMA incremental_vacuum")).unwrap();
    assert!(replica.applier.checkpoint().unwrap().is_complete());
    replica.assert_file_is(&source);
    assert_eq!(reader.get("PRAGMA integrity_check"), "ok");
}
