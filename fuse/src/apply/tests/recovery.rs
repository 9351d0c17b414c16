//! What is left by those who died, and by the applier to those who come after it.

use std::os::unix::fs::FileExt;

use litefs_core::PageSize;
use litefs_core::sqlite::wal::{self, ByteOrder, FRAME_HEADER_LEN, FrameHeader, WalHeader};

use super::*;

#[test]
fn sqlite_goes_on_writing_the_wal_that_the_applier_leaves() {
    let mut source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut client = replica.connect();
    client.get("SELECT 1 FROM meta");
    for round in 0..3 {
        for seq in round * 50 + 1..=round * 50 + 40 {
            replica.apply(&source.transfer(seq)).unwrap();
        }
        replica.applier.detach().unwrap();
        // A state of its own, which the next transactions know nothing of: the source repeats it.
        let seq = round * 50 + 41;
        client.get(&format!(
            "UPDATE meta SET seq = {seq}, entries = entries + 1; INSERT INTO log VALUES({seq}, 'local')"
        ));
        assert_eq!(client.get("PRAGMA integrity_check"), "ok");
        replica.apply(&source.snapshot()).unwrap();
        assert_eq!(client.get("SELECT seq FROM meta"), (round * 50 + 40).to_string());
    }
    assert_eq!(client.get("PRAGMA integrity_check"), "ok");
}

#[test]
fn wal_is_recovered_by_sqlite_after_everybody_died() {
    let mut source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut client = replica.connect();
    client.get("SELECT 1 FROM meta");
    for seq in 1..=30 {
        replica.apply(&source.transfer(seq)).unwrap();
    }
    client.kill();
    replica.restart();
    let mut client = replica.connect();
    assert_eq!(client.get("SELECT seq FROM meta"), "30");
    assert_eq!(client.get("PRAGMA integrity_check"), "ok");
    replica.apply(&source.transfer(31)).unwrap();
    assert_eq!(client.get("SELECT seq FROM meta"), "31");
}

#[test]
fn wal_that_others_left_is_in_the_database_before_it_is_written_directly() {
    let mut source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut client = replica.connect();
    let left = "INSERT INTO log VALUES(1, zeroblob(20000)); UPDATE meta SET seq = 1, entries = 1;";
    client.get(&format!("PRAGMA wal_autocheckpoint = 0; {left}"));
    client.kill();
    source.run(left);

    assert_eq!(replica.apply(&source.transfer(2)).unwrap(), Applied::Direct);

    assert_eq!(std::fs::metadata(replica.path("-wal")).map_or(0, |found| found.len()), 0);
    assert_eq!(replica.connect().get("SELECT count(*) FROM log"), "2");
    assert_eq!(replica.connect().get("PRAGMA integrity_check"), "ok");
    replica.assert_file_is(&source);
}

#[test]
fn frames_of_a_writer_that_never_committed_are_written_over() {
    let mut source = Source::new("wal", 1024);
    let mut replica = Replica::of(&source);
    let mut reader = replica.connect();
    reader.get("SELECT 1 FROM meta");
    let mut writer = replica.connect();
    writer.get("PRAGMA cache_size = 1; BEGIN; INSERT INTO log VALUES(1, zeroblob(100000))");
    writer.kill();
    for seq in 1..=30 {
        assert!(is_wal(&replica.apply(&source.transfer(seq)).unwrap()));
        assert_eq!(reader.get("SELECT seq FROM meta"), seq.to_string());
    }
    assert_eq!(reader.get("PRAGMA integrity_check"), "ok");
    assert!(replica.applier.checkpoint().unwrap().is_complete());
    replica.assert_file_is(&source);
}

#[test]
fn transaction_that_could_not_be_shown_is_not_found_by_a_later_recovery() {
    let mut source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut client = replica.connect();
    client.get("SELECT 1 FROM meta");
    replica.apply(&source.transfer(1)).unwrap();
    replica.kernel_fails.store(true, Ordering::Relaxed);
    let transaction = source.transfer(2);
    let error = replica.apply(&transaction).unwrap_err();
    assert!(error.to_string().contains("ENOMEM"), "{error}");
    assert_eq!(client.get("SELECT seq FROM meta"), "1");

    client.kill();
    replica.restart();
    let mut client = replica.connect();
    assert_eq!(client.get("SELECT seq FROM meta"), "1");
    replica.apply(&transaction).unwrap();
    assert_eq!(client.get("SELECT seq FROM meta"), "2");
    assert_eq!(client.get("PRAGMA integrity_check"), "ok");
}

/// Takes back that a transaction was published, as if its writer had died before it.
fn with_unpublished(replica: &Replica, transaction: impl FnOnce()) {
    let shm = std::fs::File::options().read(true).write(true).open(replica.path("-shm")).unwrap();
    let mut headers = [0; 96];
    shm.read_exact_at(&mut headers, 0).unwrap();
    transaction();
    shm.write_all_at(&headers, 0).unwrap();
}

fn salt_of(replica: &Replica) -> [u32; 2] {
    WalHeader::decode(&std::fs::read(replica.path("-wal")).unwrap()).unwrap().salt
}

#[test]
fn accepted_transaction_whose_writer_died_is_published() {
    for earlier in [true, false] {
        let source = Source::new("wal", 4096);
        let mut replica = Replica::of(&source);
        let mut client = replica.connect();
        client.get("SELECT 1 FROM meta");
        let mut writer = replica.connect();
        writer.get("SELECT 1 FROM meta");
        if earlier {
            writer.get("UPDATE meta SET seq = 1");
        }
        with_unpublished(&replica, || {
            writer.get("INSERT INTO log VALUES(7, zeroblob(50000))");
        });
        writer.kill();
        assert_eq!(client.get("SELECT count(*) FROM log"), "0");

        let end = std::fs::metadata(replica.path("-wal")).unwrap().len();
        let salt = salt_of(&replica);
        assert!(replica.applier.publish_in_doubt(salt, end, PATIENCE).unwrap());

        assert_eq!(client.get("SELECT count(*) FROM log"), "1");
        assert_eq!(client.get("INSERT INTO log VALUES(8, ''); SELECT count(*) FROM log"), "2");
        assert_eq!(client.get("PRAGMA integrity_check"), "ok");
        assert!(!replica.applier.publish_in_doubt(salt, end, PATIENCE).unwrap());
    }
}

#[test]
fn accepted_transaction_is_left_to_the_next_program_where_none_is_there() {
    let source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut writer = replica.connect();
    writer.get("UPDATE meta SET seq = 1");
    with_unpublished(&replica, || {
        writer.get("INSERT INTO log VALUES(7, zeroblob(50000))");
    });
    writer.kill();
    let end = std::fs::metadata(replica.path("-wal")).unwrap().len();
    let index = std::fs::read(replica.path("-shm")).unwrap();

    assert!(!replica.applier.publish_in_doubt(salt_of(&replica), end, PATIENCE).unwrap());
    assert!(std::fs::read(replica.path("-shm")).unwrap() == index, "the wal-index was touched");
    assert_eq!(replica.connect().get("SELECT count(*) FROM log"), "1");

    assert!(!replica.path("-shm").exists(), "the last program removes it");
    assert!(!replica.applier.publish_in_doubt([0; 2], end, PATIENCE).unwrap());
    assert!(!replica.path("-shm").exists());
}

#[test]
fn accepted_transaction_that_was_overwritten_is_reported() {
    let source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut client = replica.connect();
    client.get("UPDATE meta SET seq = 1");
    let found_end = std::fs::metadata(replica.path("-wal")).unwrap().len();
    let error = replica.applier.publish_in_doubt(salt_of(&replica), found_end + 1, PATIENCE).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the WAL was accepted up to byte {}, but is valid only up to {found_end}", found_end + 1)
    );
}

#[test]
fn transactions_are_appended_to_a_big_endian_wal() {
    let mut source = Source::new("wal", 4096);
    let mut replica = Replica::of(&source);
    let mut client = replica.connect();
    client.get("PRAGMA wal_autocheckpoint = 0; UPDATE meta SET seq = 5; UPDATE meta SET seq = 0");
    client.kill();
    let file = std::fs::read(replica.path("-wal")).unwrap();
    std::fs::write(replica.path("-wal"), big_endian(&file)).unwrap();
    let mut client = replica.connect();
    assert_eq!(client.get("SELECT seq FROM meta"), "0");

    for seq in 1..=5 {
        let Applied::Wal { header, .. } = replica.apply(&source.transfer(seq)).unwrap() else {
            panic!("not in the WAL")
        };
        assert_eq!(header.byte_order, ByteOrder::Big);
        assert_eq!(client.get("SELECT seq FROM meta"), seq.to_string());
    }
    client.kill();
    replica.restart();
    let mut client = replica.connect();
    assert_eq!(client.get("SELECT seq FROM meta"), "5");
    assert_eq!(client.get("PRAGMA integrity_check"), "ok");
}

/// The same WAL as a big-endian machine would have written it.
fn big_endian(file: &[u8]) -> Vec<u8> {
    let old = WalHeader::decode(file).unwrap();
    let header = WalHeader::new(ByteOrder::Big, old.page_size, old.checkpoint_sequence, old.salt);
    let mut chain = header.checksum;
    let mut out = header.encode().to_vec();
    let frame_len = FRAME_HEADER_LEN + PageSize::bytes(old.page_size);
    for frame in file[wal::HEADER_LEN..].chunks_exact(frame_len) {
        let (head, content) = frame.split_at(FRAME_HEADER_LEN);
        let head = FrameHeader::decode(head).unwrap();
        let head = FrameHeader::new(&header, chain, head.page, head.commit, content);
        chain = head.checksum;
        out.extend_from_slice(&head.encode());
        out.extend_from_slice(content);
    }
    out
}
