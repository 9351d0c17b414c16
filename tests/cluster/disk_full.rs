//! The disk with the data is full: writers are told, nothing is lost, and it goes on when there is space.

use std::fs;

use rusqlite::Connection;
use rusqlite::ffi::ErrorCode;

use crate::support::{
    Cluster, JOURNAL_MODES, Options, Tmpfs, Writer, assert_replicated, assert_written, open, query, run,
    set_mode, wait_until,
};

/// Writes rows until SQLite says that there is no space. Returns how many are committed.
fn write_until_full(connection: &Connection) -> u32 {
    let mut written = query(connection, "SELECT count(*) FROM t");
    loop {
        match connection.execute("INSERT INTO t VALUES (randomblob(20000))", []) {
            Ok(_) => written += 1,
            Err(error) => {
                let code = error.sqlite_error_code().unwrap();
                assert!(matches!(code, ErrorCode::DiskFull | ErrorCode::SystemIoFailure), "{error:?}");
                return written;
            }
        }
        assert!(written < 2000, "the disk is never full");
    }
}

#[test]
fn writers_are_told_that_the_disk_of_the_primary_is_full_and_go_on_later() {
    for mode in JOURNAL_MODES {
        let mut cluster = Cluster::prepare(2, Options::default());
        let disk = Tmpfs::mount(&cluster.primary().data(), 24);
        for node in &mut cluster.nodes {
            node.start();
        }
        let connection = open(cluster.primary(), "app.db");
        set_mode(&connection, mode);
        run(&connection, "PRAGMA synchronous=FULL; CREATE TABLE t (x)");
        for round in 0..3 {
            disk.fill(2 << 20);
            let written = write_until_full(&connection);
            // Readers are not concerned, on this connection and on others.
            assert_eq!(query::<u32>(&connection, "SELECT count(*) FROM t"), written, "in mode {mode}");
            assert_eq!(query::<u32>(&open(cluster.primary(), "app.db"), "SELECT count(*) FROM t"), written);
            disk.make_room();
            match round {
                // The same connection goes on.
                0 => run(&connection, "INSERT INTO t VALUES ('again')"),
                // Another program does.
                1 => run(&open(cluster.primary(), "app.db"), "INSERT INTO t VALUES ('again')"),
                // The node is started anew.
                _ => {}
            }
            if round < 2 {
                assert_replicated(cluster.primary(), cluster.replica(), "app.db");
            } else {
                let connection = connection;
                drop(connection);
                cluster.nodes[0].kill();
                cluster.nodes[0].start();
                let connection = open(cluster.primary(), "app.db");
                assert_eq!(query::<u32>(&connection, "SELECT count(*) FROM t"), written);
                run(&connection, "INSERT INTO t VALUES ('again')");
                assert_replicated(cluster.primary(), cluster.replica(), "app.db");
                break;
            }
        }
        drop(cluster);
        drop(disk);
    }
}

#[test]
fn node_killed_on_a_full_disk_starts_again_and_has_everything() {
    for mode in ["delete", "wal"] {
        let mut cluster = Cluster::prepare(1, Options::default());
        let disk = Tmpfs::mount(&cluster.primary().data(), 24);
        cluster.nodes[0].start();
        let connection = open(cluster.primary(), "app.db");
        set_mode(&connection, mode);
        Writer::prepare(&connection);
        drop(connection);
        disk.fill(1 << 20);
        let (last, error) = Writer::start(&cluster.primary().path("app.db"), "FULL", 0, 0).await_end();
        assert!(error.unwrap().contains("full") || last.is_some());
        cluster.nodes[0].kill();
        disk.make_room();
        cluster.nodes[0].start();
        let next = assert_written(&cluster.primary().path("app.db"), last);
        let writer = Writer::start(&cluster.primary().path("app.db"), "FULL", next, 10);
        assert_eq!(writer.await_end(), (Some(next + 9), None));
        drop(cluster);
        drop(disk);
    }
}

#[test]
fn replica_whose_disk_is_full_says_so_and_catches_up_when_there_is_space() {
    for mode in ["delete", "wal"] {
        let mut cluster = Cluster::prepare(2, Options::default());
        let disk = Tmpfs::mount(&cluster.replica().data(), 24);
        for node in &mut cluster.nodes {
            node.start();
        }
        let connection = open(cluster.primary(), "app.db");
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x)");
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
        disk.fill(1 << 20);
        for _ in 0..20 {
            run(&connection, "INSERT INTO t VALUES (randomblob(200000))");
        }
        // The primary does not wait for it; the replica says what is wrong, and shows a whole state.
        wait_until("the replica to complain", || {
            let log = cluster.replica().log();
            log.contains("No space left on device") || log.contains("os error 28") || log.contains("ENOSPC")
        });
        let reader = open(cluster.replica(), "app.db");
        assert!(query::<u32>(&reader, "SELECT count(*) FROM t") < 20);
        assert_eq!(query::<String>(&reader, "PRAGMA integrity_check"), "ok");
        drop(reader);
        disk.make_room();
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
        drop(cluster);
        drop(disk);
    }
}

#[test]
fn new_database_on_a_full_disk_is_refused_without_traces() {
    let mut cluster = Cluster::prepare(1, Options::default());
    let disk = Tmpfs::mount(&cluster.primary().data(), 8);
    cluster.nodes[0].start();
    disk.fill(0);
    let connection = open(cluster.primary(), "app.db");
    connection.execute_batch("CREATE TABLE t (x)").unwrap_err();
    drop(connection);
    disk.make_room();
    run(&open(cluster.primary(), "app.db"), "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    cluster.nodes[0].stop();
    cluster.nodes[0].start();
    assert_eq!(query::<u32>(&open(cluster.primary(), "app.db"), "SELECT count(*) FROM t"), 1);
    assert!(fs::metadata(cluster.primary().path("app.db")).unwrap().len() > 0);
    drop(cluster);
    drop(disk);
}
