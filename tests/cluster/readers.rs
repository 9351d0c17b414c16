//! Programs that read on a replica while transactions arrive.

use std::sync::{Arc, Weak};
use std::time::Duration;

use rusqlite::Connection;

use crate::support::{
    Cluster, JOURNAL_MODES, Node, Writer, assert_replicated, assert_written, open, python, query, run,
    set_mode,
};

/// The sums that every transaction keeps equal are equal in every state a reader sees, which never goes back. Reads while
/// the test is `running`.
fn read_consistently(node: &Node, name: &str, running: &Weak<()>) -> i64 {
    let connection = open(node, name);
    let mut statement = connection
        .prepare(
            "SELECT (SELECT count(*) FROM written), (SELECT coalesce(sum(number), 0) FROM written), (SELECT sum FROM total)",
        )
        .unwrap();
    let (mut seen, mut last) = (0, 0);
    while running.strong_count() > 0 {
        let (count, sum, total): (i64, i64, i64) = statement
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap_or_else(|error| panic!("{name} after {last} rows: {error:?}"));
        assert_eq!((sum, total), (count * (count - 1) / 2, sum), "a torn state with {count} rows");
        assert!(count >= last, "a reader went back from {last} to {count}");
        seen += i64::from(count != last);
        last = count;
    }
    seen
}

#[test]
fn readers_on_a_replica_see_only_whole_transactions() {
    let cluster = Cluster::start(2);
    for mode in JOURNAL_MODES {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        Writer::prepare(&connection);
        crate::support::await_same_position(cluster.primary(), cluster.replica(), mode);
        // Dropped by a test that fails too, for which the scope would wait for the readers for ever.
        let running = Arc::new(());
        let until = Arc::downgrade(&running);
        std::thread::scope(|scope| {
            let readers: Vec<_> =
                (0..2).map(|_| scope.spawn(|| read_consistently(cluster.replica(), mode, &until))).collect();
            let writer = Writer::start(&cluster.primary().path(mode), "NORMAL", 0, 300);
            assert_eq!(writer.await_end(), (Some(299), None));
            crate::support::await_same_position(cluster.primary(), cluster.replica(), mode);
            drop(running);
            for reader in readers {
                assert!(reader.join().unwrap() > 1, "a reader in mode {mode} saw no transaction arrive");
            }
        });
        assert_replicated(cluster.primary(), cluster.replica(), mode);
        assert_eq!(assert_written(&cluster.replica().path(mode), Some(299)), 300);
    }
}

#[test]
fn snapshot_of_a_reader_stays_while_transactions_arrive_in_wal_mode() {
    let cluster = Cluster::start(2);
    let connection = open(cluster.primary(), "app.db");
    set_mode(&connection, "wal");
    run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (0)");
    crate::support::await_same_position(cluster.primary(), cluster.replica(), "app.db");
    let reader = open(cluster.replica(), "app.db");
    run(&reader, "BEGIN");
    assert_eq!(query::<u32>(&reader, "SELECT count(*) FROM t"), 1);
    for number in 1..200 {
        run(&connection, &format!("INSERT INTO t VALUES (hex(zeroblob({number} * 10)))"));
    }
    // The reader does not stop replication, and replication does not disturb the reader.
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    assert_eq!(query::<u32>(&open(cluster.replica(), "app.db"), "SELECT count(*) FROM t"), 200);
    assert_eq!(query::<u32>(&reader, "SELECT count(*) FROM t"), 1);
    run(&reader, "COMMIT");
    assert_eq!(query::<u32>(&reader, "SELECT count(*) FROM t"), 200);
}

/// A replica on which a program keeps transactions from being applied in rollback mode.
fn held_up() -> (Cluster, Connection, Connection) {
    let cluster = Cluster::start(2);
    let writer = open(cluster.primary(), "held.db");
    run(&writer, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    crate::support::await_same_position(cluster.primary(), cluster.replica(), "held.db");
    let reader = open(cluster.replica(), "held.db");
    run(&reader, "BEGIN");
    assert_eq!(query::<u32>(&reader, "SELECT count(*) FROM t"), 1);
    run(&writer, "INSERT INTO t VALUES (2)");
    (cluster, writer, reader)
}

#[test]
fn reader_in_rollback_mode_holds_up_its_own_database_only() {
    let (mut cluster, _writer, reader) = held_up();
    let other = open(cluster.primary(), "other.db");
    run(&other, "CREATE TABLE t (x)");
    for number in 0..20 {
        run(&other, &format!("INSERT INTO t VALUES ({number})"));
    }
    assert_replicated(cluster.primary(), cluster.replica(), "other.db");
    // A node that joins is not held up by it either.
    cluster.add().start();
    assert_replicated(cluster.primary(), &cluster.nodes[2], "held.db");
    // The reader sees its snapshot to the end, and what came after it then.
    assert_eq!(query::<u32>(&reader, "SELECT count(*) FROM t"), 1);
    run(&reader, "COMMIT");
    assert_replicated(cluster.primary(), cluster.replica(), "held.db");
    assert_eq!(query::<u32>(&reader, "SELECT count(*) FROM t"), 2);
}

#[test]
fn replica_stops_while_a_program_holds_up_a_transaction() {
    let (mut cluster, _writer, reader) = held_up();
    cluster.nodes[1].await_log("a received transaction waits for a program");
    cluster.nodes[1].stop();
    drop(reader);
    cluster.nodes[1].start();
    assert_replicated(cluster.primary(), cluster.replica(), "held.db");
}

#[test]
fn program_that_maps_the_database_sees_what_arrives() {
    let cluster = Cluster::start(2);
    for mode in ["delete", "wal"] {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(1000000))");
        crate::support::await_same_position(cluster.primary(), cluster.replica(), mode);
        let reader = open(cluster.replica(), mode);
        assert_eq!(query::<u32>(&reader, "PRAGMA mmap_size=100000000"), 100_000_000);
        for byte in 1..20 {
            run(
                &connection,
                &format!("UPDATE t SET x = replace(hex(zeroblob(500000)), '0', '{}')", byte % 10),
            );
            crate::support::await_same_position(cluster.primary(), cluster.replica(), mode);
            let text: String =
                query(&reader, "SELECT DISTINCT replace(x, substr(x, 1, 1), '') || substr(x, 1, 1) FROM t");
            assert_eq!(text, (byte % 10).to_string());
            if byte % 5 == 0 {
                run(&connection, "PRAGMA wal_checkpoint(TRUNCATE)");
            }
        }
    }
}

#[test]
fn programs_in_different_languages_write_at_once() {
    let cluster = Cluster::start(2);
    for mode in JOURNAL_MODES {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (who, number)");
        let path = cluster.primary().path(mode);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let script: String =
                    (0..60).map(|number| format!("INSERT INTO t VALUES ('cli', {number});")).collect();
                crate::support::sqlite3_prints(&path, &script);
            });
            scope.spawn(|| {
                python(
                    "import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=20)
for number in range(60):
    with connection: connection.execute('INSERT INTO t VALUES (?, ?)', ('python', number))",
                    &[&path],
                )
            });
            scope.spawn(|| {
                let connection = Connection::open(&path).unwrap();
                connection.busy_timeout(Duration::from_secs(20)).unwrap();
                for number in 0..60 {
                    connection.execute("INSERT INTO t VALUES ('rust', ?)", [number]).unwrap();
                }
            });
        });
        assert_replicated(cluster.primary(), cluster.replica(), mode);
        let reader = open(cluster.replica(), mode);
        assert_eq!(
            query::<u32>(&reader, "SELECT count(DISTINCT who || number) FROM t"),
            180,
            "in mode {mode}"
        );
    }
}
