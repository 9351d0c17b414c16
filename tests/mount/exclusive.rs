use rusqlite::ffi::ErrorCode;

use crate::support::{Cluster, JOURNAL_MODES, assert_replicated, open, query, run, set_mode};

#[test]
fn exclusive_locking_mode_works_and_arrives() {
    let cluster = Cluster::start(2);
    for mode in JOURNAL_MODES {
        let connection = open(cluster.primary(), mode);
        run(&connection, "PRAGMA locking_mode=EXCLUSIVE");
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x)");
        for number in 0..20 {
            run(&connection, &format!("INSERT INTO t VALUES ({number})"));
        }
        let other = rusqlite::Connection::open(cluster.primary().path(mode)).unwrap();
        other.busy_timeout(std::time::Duration::ZERO).unwrap();
        let error = other.execute_batch("INSERT INTO t VALUES (0)").unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy), "in mode {mode}");
        drop(connection);
        assert_eq!(query::<u32>(&other, "SELECT count(*) FROM t"), 20);
        assert_replicated(cluster.primary(), cluster.replica(), mode);
    }
}

#[test]
fn lock_of_one_program_keeps_another_waiting_but_not_readers_in_wal_mode() {
    let cluster = Cluster::start(1);
    for mode in JOURNAL_MODES {
        let (one, two) = (open(cluster.primary(), mode), open(cluster.primary(), mode));
        two.busy_timeout(std::time::Duration::ZERO).unwrap();
        set_mode(&one, mode);
        run(&one, "CREATE TABLE t (x); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
        assert_eq!(query::<u32>(&two, "SELECT count(*) FROM t"), 0);
        let error = two.execute_batch("INSERT INTO t VALUES (2)").unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy), "in mode {mode}");
        run(&one, "COMMIT");
        run(&two, "INSERT INTO t VALUES (2)");
        assert_eq!(query::<u32>(&one, "SELECT count(*) FROM t"), 2);
    }
}
