//! Bytes on the disk that have changed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{
    Cluster, Node, assert_replicated, await_same_position, open, query, run, set_mode, sqlite3_prints,
};

/// A database of 40 transactions, on a node that has stopped.
fn stopped(mode: &str) -> Cluster {
    let mut cluster = Cluster::start(1);
    let connection = open(cluster.primary(), "app.db");
    set_mode(&connection, mode);
    run(&connection, "CREATE TABLE t (x)");
    for _ in 1..40 {
        run(&connection, "INSERT INTO t VALUES (hex(randomblob(500)))");
    }
    drop(connection);
    cluster.nodes[0].stop();
    cluster
}

/// The only segment of the log.
fn segment(node: &Node) -> PathBuf {
    let mut files: Vec<_> = fs::read_dir(node.data().join("dbs/app.db/log")).unwrap().collect();
    assert_eq!(files.len(), 1);
    files.remove(0).unwrap().path()
}

/// Changes one bit of a file.
fn damage(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

fn verify(path: &Path) -> (String, Option<i32>) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_litefs")).arg("verify").arg(path).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

#[test]
fn damaged_transaction_in_the_log_is_found_and_never_sent() {
    for mode in ["delete", "wal"] {
        let mut cluster = stopped(mode);
        let segment = segment(cluster.primary());
        let (text, code) = verify(&cluster.primary().data());
        assert_eq!(code, Some(0), "{text}");
        damage(&segment, fs::metadata(&segment).unwrap().len() / 2);
        let (text, code) = verify(&cluster.primary().data());
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("damaged"), "{text}");

        // The database itself is whole, and a replica gets it whole, whatever it asks for.
        cluster.nodes[0].start();
        assert_eq!(query::<u32>(&open(cluster.primary(), "app.db"), "SELECT count(*) FROM t"), 39);
        cluster.add().start();
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
        run(&open(cluster.primary(), "app.db"), "INSERT INTO t VALUES ('after')");
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    }
}

#[test]
fn replica_that_needs_a_damaged_transaction_gets_a_snapshot() {
    let mut cluster = Cluster::start(2);
    let connection = open(cluster.primary(), "app.db");
    run(&connection, "CREATE TABLE t (x)");
    await_same_position(cluster.primary(), cluster.replica(), "app.db");
    cluster.nodes[1].stop();
    let segment = segment(cluster.primary());
    let before = fs::metadata(&segment).unwrap().len();
    for _ in 0..20 {
        run(&connection, "INSERT INTO t VALUES (hex(randomblob(500)))");
    }
    drop(connection);
    cluster.nodes[0].stop();
    // In what the replica does not have.
    damage(&segment, (before + fs::metadata(&segment).unwrap().len()) / 2);
    cluster.nodes[0].start();
    cluster.nodes[1].start();
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    assert_eq!(query::<u32>(&open(cluster.replica(), "app.db"), "SELECT count(*) FROM t"), 20);
}

#[test]
fn end_of_the_log_that_is_cut_off_costs_nothing_that_is_in_the_database() {
    for mode in ["delete", "wal"] {
        let mut cluster = stopped(mode);
        let segment = segment(cluster.primary());
        let len = fs::metadata(&segment).unwrap().len();
        File::options().write(true).open(&segment).unwrap().set_len(len - 50).unwrap();
        cluster.nodes[0].launch();
        // Either it goes on with everything, or it says what is wrong; it does not go on with less.
        cluster.nodes[0].await_ready();
        assert_eq!(query::<u32>(&open(cluster.primary(), "app.db"), "SELECT count(*) FROM t"), 39);
        run(&open(cluster.primary(), "app.db"), "INSERT INTO t VALUES ('after')");
        cluster.add().start();
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    }
}

#[test]
fn damaged_page_in_the_database_file_is_found_by_verify() {
    let cluster = stopped("delete");
    let database = cluster.primary().data().join("dbs/app.db/database");
    damage(&database, fs::metadata(&database).unwrap().len() - 100);
    let (text, code) = verify(&cluster.primary().data());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("damaged") && text.contains("page"), "{text}");
}

#[test]
fn verify_names_what_is_wrong_with_an_ltx_file_wherever_it_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("0000000000000001-0000000000000001.ltx");
    let ltx = one_transaction();
    fs::write(&path, &ltx).unwrap();
    let (text, code) = verify(&path);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("verdict       ok"), "{text}");
    for len in 0..ltx.len() {
        fs::write(&path, &ltx[..len]).unwrap();
        if len % 37 == 0 || len + 20 > ltx.len() {
            let (text, code) = verify(&path);
            assert!(text.contains("verdict       damaged: "), "cut to {len}: {text}");
            assert_eq!(code, Some(1));
        }
    }
    for at in (0..ltx.len() as u64).step_by(13) {
        fs::write(&path, &ltx).unwrap();
        damage(&path, at);
        let (text, code) = verify(&path);
        assert!(text.contains("verdict       damaged: at byte "), "byte {at}: {text}");
        assert_eq!(code, Some(1));
    }
}

/// An LTX file with one page.
fn one_transaction() -> Vec<u8> {
    use litefs_core::{Checksum, NodeId, PageNumber, PageSize, Txid, ltx};
    let mut encoder = ltx::Encoder::new(ltx::Header {
        compressed: true,
        page_size: PageSize::new(512).unwrap(),
        commit: 1,
        min_txid: Txid::new(1),
        max_txid: Txid::new(1),
        timestamp_ms: 1_795_337_722_818,
        pre_apply: Checksum::ZERO,
        wal_offset: 0,
        wal_size: 0,
        wal_salt: [0, 0],
        node_id: NodeId::new(7),
    })
    .unwrap();
    let page: Vec<u8> = (0..512_u32).map(|byte| (byte * byte % 251) as u8).collect();
    encoder.page(PageNumber::FIRST, &page).unwrap();
    encoder.finish(Checksum::EMPTY.toggle(Checksum::of_page(PageNumber::FIRST, &page))).unwrap();
    encoder.output().clone()
}

#[test]
fn saved_checksums_that_are_damaged_or_gone_are_computed_anew() {
    let mut cluster = stopped("delete");
    let sums = cluster.primary().data().join("dbs/app.db/sums");
    let position = |cluster: &Cluster| cluster.primary().position("app.db");
    cluster.nodes[0].start();
    let before = position(&cluster);
    for round in 0..2 {
        cluster.nodes[0].stop();
        if round == 0 {
            damage(&sums, fs::metadata(&sums).unwrap().len() / 2)
        } else {
            fs::remove_file(&sums).unwrap()
        }
        cluster.nodes[0].start();
        assert_eq!(position(&cluster), before);
        assert_eq!(sqlite3_prints(&cluster.primary().path("app.db"), "PRAGMA integrity_check"), "ok");
    }
}
