//! What programs that write on a replica are told.

use std::fs;

use rusqlite::ffi::ErrorCode;

use crate::support::{
    Cluster, assert_replicated, await_same_position, open, query, run, set_mode, sqlite3_fails,
};

fn code(outcome: rusqlite::Result<()>) -> ErrorCode {
    outcome.unwrap_err().sqlite_error_code().unwrap()
}

#[test]
fn write_in_rollback_mode_is_told_that_the_database_is_read_only() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    for mode in ["delete", "truncate", "persist"] {
        let connection = open(primary, mode);
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
        await_same_position(primary, replica, mode);
        let writer = open(replica, mode);
        set_mode(&writer, mode);
        for _ in 0..2 {
            let outcome = writer.execute_batch("INSERT INTO t VALUES (2)");
            assert_eq!(code(outcome), ErrorCode::ReadOnly, "in mode {mode}");
        }
        assert_eq!(query::<u32>(&writer, "SELECT count(*) FROM t"), 1);
        let text = sqlite3_fails(&replica.path(mode), "INSERT INTO t VALUES (2)");
        assert!(text.contains("attempt to write a readonly database"), "{text}");
        run(&connection, "INSERT INTO t VALUES (3)");
        assert_replicated(primary, replica, mode);
        assert_eq!(query::<u32>(&writer, "SELECT count(*) FROM t"), 2);
    }
}

#[test]
fn write_in_wal_mode_fails_and_nothing_of_it_stays() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    let connection = open(primary, "app.db");
    set_mode(&connection, "wal");
    run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    await_same_position(primary, replica, "app.db");
    let writer = open(replica, "app.db");
    // As long as the node itself is the writer, there is nothing to wait for.
    writer.busy_timeout(std::time::Duration::ZERO).unwrap();
    let mut rows = 1;
    for _ in 0..3 {
        let code = code(writer.execute_batch("INSERT INTO t VALUES (2)"));
        assert!(matches!(code, ErrorCode::SystemIoFailure | ErrorCode::DatabaseBusy), "{code:?}");
        assert_eq!(query::<u32>(&writer, "SELECT count(*) FROM t"), rows);
        assert_eq!(query::<u32>(&open(replica, "app.db"), "SELECT count(*) FROM t"), rows);
        run(&connection, "INSERT INTO t VALUES (3)");
        rows += 1;
        assert_replicated(primary, replica, "app.db");
        assert_eq!(query::<u32>(&writer, "SELECT count(*) FROM t"), rows);
    }
}

#[test]
fn files_of_a_replica_can_be_neither_made_nor_removed() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    run(&open(primary, "app.db"), "CREATE TABLE t (x)");
    await_same_position(primary, replica, "app.db");
    let error = fs::remove_file(replica.path("app.db")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    let error = fs::rename(replica.path("app.db"), replica.path("other.db")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    sqlite3_fails(&replica.path("new.db"), "CREATE TABLE t (x)");
    assert!(!primary.path("new.db").exists());
    // The name is not spoilt.
    run(&open(primary, "new.db"), "CREATE TABLE t (x)");
    assert_replicated(primary, replica, "new.db");
    assert_replicated(primary, replica, "app.db");
}

#[test]
fn reading_on_a_replica_makes_no_transaction() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    let connection = open(primary, "app.db");
    set_mode(&connection, "wal");
    run(&connection, "CREATE TABLE t (x)");
    await_same_position(primary, replica, "app.db");
    let reader = open(replica, "app.db");
    for _ in 0..20 {
        assert_eq!(query::<u32>(&reader, "SELECT count(*) FROM t"), 0);
    }
    // A checkpoint of the last connection to close, as SQLite does it by itself.
    drop(reader);
    run(&connection, "INSERT INTO t VALUES (1)");
    assert_replicated(primary, replica, "app.db");
}
