use std::fs;
use std::path::Path;
use std::process::Output;

use rusqlite::Connection;

use crate::support::{
    Cluster, Node, Writer, assert_replicated, assert_same_bytes, assert_written, await_same_position,
    integrity, open, query, run, set_mode,
};

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn import(node: &Node, name: &str, path: &Path) -> Output {
    node.command(&["import", "-name", name, path.to_str().unwrap()])
}

#[track_caller]
fn export(node: &Node, name: &str, path: &Path) {
    succeeds(&node.command(&["export", "-name", name, path.to_str().unwrap()]));
}

#[test]
fn exported_file_is_the_database_file_to_the_byte() {
    let cluster = Cluster::start(2);
    let out = cluster.directory().join("out.db");
    for mode in ["delete", "wal"] {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(300000)); DELETE FROM t");
        run(&connection, "INSERT INTO t VALUES (randomblob(70000))");
        // What is in the WAL only is part of the export.
        await_same_position(cluster.primary(), cluster.replica(), mode);
        for node in &cluster.nodes {
            export(node, mode, &out);
            integrity(&out);
            assert_eq!(query::<u32>(&Connection::open(&out).unwrap(), "SELECT length(x) FROM t"), 70000);
        }
        export(cluster.primary(), mode, &out);
        let exported = fs::read(&out).unwrap();
        let busy: u32 = query(&connection, "PRAGMA wal_checkpoint(TRUNCATE)");
        assert_eq!(busy, 0);
        assert_same_bytes(&exported, &fs::read(cluster.primary().path(mode)).unwrap());
    }
}

#[test]
fn export_under_load_is_one_consistent_state() {
    let cluster = Cluster::start(2);
    for mode in ["delete", "wal"] {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        Writer::prepare(&connection);
        let writer = Writer::start(&cluster.primary().path(mode), "NORMAL", 0, 0);
        for round in 1..8 {
            writer.await_number(round * 10);
            for node in &cluster.nodes {
                let out = cluster.directory().join("out.db");
                export(node, mode, &out);
                integrity(&out);
                let exported = Connection::open(&out).unwrap();
                let count: i64 = query(&exported, "SELECT count(*) FROM written");
                drop(exported);
                assert_eq!(assert_written(&out, (count > 0).then(|| count - 1)), count);
            }
        }
        assert_eq!(writer.kill().1, None);
    }
}

#[test]
fn imported_file_replaces_the_database_and_arrives() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    let file = cluster.directory().join("in.db");
    let source = Connection::open(&file).unwrap();
    for (mode, size) in [("delete", 100_000), ("wal", 10), ("delete", 2_000_000), ("wal", 500_000)] {
        set_mode(&source, mode);
        run(&source, "DROP TABLE IF EXISTS t; CREATE TABLE t (x)");
        run(
            &source,
            &format!("INSERT INTO t VALUES (randomblob({size})); VACUUM; PRAGMA wal_checkpoint(TRUNCATE)"),
        );
        succeeds(&import(primary, "app.db", &file));
        assert_replicated(primary, replica, "app.db");
        assert_eq!(query::<u32>(&open(replica, "app.db"), "SELECT length(x) FROM t"), size);
        run(&open(primary, "app.db"), "CREATE TABLE after (x); INSERT INTO after VALUES (1)");
        assert_replicated(primary, replica, "app.db");
    }
}

#[test]
fn import_over_an_open_connection_is_seen_by_it() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    let file = cluster.directory().join("in.db");
    for mode in ["delete", "wal"] {
        let connection = open(primary, mode);
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES ('before')");
        await_same_position(primary, replica, mode);
        let reader = open(replica, mode);
        assert_eq!(query::<String>(&reader, "SELECT x FROM t"), "before");

        let _ = fs::remove_file(&file);
        let source = Connection::open(&file).unwrap();
        set_mode(&source, mode);
        run(&source, "CREATE TABLE other (y); INSERT INTO other VALUES (zeroblob(200000)), ('imported')");
        drop(source);
        succeeds(&import(primary, mode, &file));
        await_same_position(primary, replica, mode);
        for connection in [&connection, &reader] {
            let sql = "SELECT y FROM other WHERE length(y) < 100";
            assert_eq!(query::<String>(connection, sql), "imported");
        }
        run(&connection, "INSERT INTO other VALUES ('after')");
        assert_replicated(primary, replica, mode);
        assert_eq!(query::<u32>(&reader, "SELECT count(*) FROM other"), 3);
    }
}

#[test]
fn import_waits_for_an_open_transaction() {
    let cluster = Cluster::start(2);
    let file = cluster.directory().join("in.db");
    run(&Connection::open(&file).unwrap(), "CREATE TABLE t (x); INSERT INTO t VALUES ('imported')");
    for mode in ["delete", "wal"] {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); BEGIN IMMEDIATE; INSERT INTO t VALUES ('open')");
        std::thread::scope(|scope| {
            let primary = cluster.primary();
            let import = scope.spawn(|| import(primary, mode, &file));
            // It must not get through while the transaction is open.
            std::thread::sleep(std::time::Duration::from_millis(200));
            assert!(!import.is_finished());
            run(&connection, "COMMIT");
            succeeds(&import.join().unwrap());
        });
        assert_eq!(query::<String>(&connection, "SELECT x FROM t"), "imported");
        assert_replicated(cluster.primary(), cluster.replica(), mode);
    }
}

#[test]
fn b08_import_with_another_page_size_leaves_everything_usable() {
    let mut cluster = Cluster::start(2);
    let file = cluster.directory().join("in.db");
    run(
        &Connection::open(&file).unwrap(),
        "PRAGMA page_size=8192; CREATE TABLE t (x); INSERT INTO t VALUES ('new')",
    );
    run(
        &open(cluster.primary(), "app.db"),
        "PRAGMA page_size=4096; CREATE TABLE t (x); INSERT INTO t VALUES ('old')",
    );
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    let output = import(cluster.primary(), "app.db", &file);
    let expected = if output.status.success() { "new" } else { "old" };
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    for node in &mut cluster.nodes {
        node.stop();
        node.start();
    }
    assert_eq!(query::<String>(&open(cluster.replica(), "app.db"), "SELECT x FROM t"), expected);
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
}

#[test]
fn b33_import_of_a_file_whose_header_does_not_know_its_length_is_whole() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    let file = cluster.directory().join("in.db");
    let source = Connection::open(&file).unwrap();
    run(&source, "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))");
    drop(source);
    // As a SQLite before 3.7.0 leaves it: no number of pages, and none it would be valid for.
    let mut bytes = fs::read(&file).unwrap();
    bytes[28..32].fill(0);
    bytes[92..96].fill(0);
    fs::write(&file, bytes).unwrap();
    succeeds(&import(primary, "app.db", &file));
    await_same_position(primary, replica, "app.db");
    assert_eq!(query::<u32>(&open(replica, "app.db"), "SELECT length(x) FROM t"), 100_000);
    run(&open(primary, "app.db"), "INSERT INTO t VALUES (1)");
    assert_replicated(primary, replica, "app.db");
}

#[test]
fn import_that_cannot_be_done_says_why_and_changes_nothing() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    run(&open(primary, "app.db"), "CREATE TABLE t (x); INSERT INTO t VALUES ('kept')");
    await_same_position(primary, replica, "app.db");
    let text = cluster.directory().join("text.db");
    fs::write(&text, "no database ".repeat(1000)).unwrap();
    let whole = primary.export("app.db");
    let cut = cluster.directory().join("cut.db");
    fs::write(&cut, &whole[..whole.len() - 100]).unwrap();
    for file in [&text, &cut] {
        let output = import(primary, "app.db", file);
        assert!(!output.status.success());
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.starts_with("ERROR: ") && message.lines().count() == 1, "{message}");
    }
    let output = import(replica, "app.db", &text);
    assert!(!output.status.success());
    assert_eq!(query::<String>(&open(primary, "app.db"), "SELECT x FROM t"), "kept");
    assert_replicated(primary, replica, "app.db");
}
