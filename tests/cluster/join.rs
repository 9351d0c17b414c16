//! Nodes that join late or come back.

use crate::support::{
    Cluster, JOURNAL_MODES, Options, Writer, assert_replicated, assert_written, await_same_position, open,
    query, run, set_mode, wait_until,
};

#[test]
fn node_that_joins_late_gets_everything() {
    let mut cluster = Cluster::start(1);
    for mode in JOURNAL_MODES {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(500000)); DELETE FROM t");
        run(&connection, "INSERT INTO t VALUES (randomblob(100000))");
    }
    cluster.add().start();
    for mode in JOURNAL_MODES {
        assert_replicated(cluster.primary(), cluster.replica(), mode);
    }
}

#[test]
fn node_that_joins_under_load_gets_a_consistent_state_and_goes_on() {
    let mut cluster = Cluster::start(1);
    for mode in ["delete", "wal"] {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        Writer::prepare(&connection);
    }
    let writers: Vec<_> = ["delete", "wal"]
        .map(|mode| (mode, Writer::start(&cluster.primary().path(mode), "NORMAL", 0, 0)))
        .into();
    for (_, writer) in &writers {
        writer.await_number(50);
    }
    cluster.add().start();
    for (_, writer) in &writers {
        writer.await_number(writer.last().unwrap() + 50);
    }
    for (mode, writer) in writers {
        let (last, error) = writer.kill();
        assert_eq!(error, None);
        assert_written(&cluster.primary().path(mode), last);
        assert_replicated(cluster.primary(), cluster.replica(), mode);
        assert_written(&cluster.replica().path(mode), last);
    }
}

#[test]
fn replica_that_was_away_catches_up() {
    let mut cluster = Cluster::start(2);
    for round in 0..3 {
        let connection = open(cluster.primary(), "app.db");
        set_mode(&connection, ["wal", "delete", "wal"][round]);
        run(&connection, "CREATE TABLE IF NOT EXISTS t (x)");
        await_same_position(cluster.primary(), cluster.replica(), "app.db");
        if round == 1 {
            cluster.nodes[1].kill()
        } else {
            cluster.nodes[1].stop()
        }
        for number in 0..40 {
            run(&connection, &format!("INSERT INTO t VALUES (hex(zeroblob({number})))"));
        }
        // Made, filled and dropped while it was away.
        run(&open(cluster.primary(), "gone.db"), "CREATE TABLE t (x)");
        std::fs::remove_file(cluster.primary().path("gone.db")).unwrap();
        cluster.nodes[1].start();
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
        assert!(!cluster.replica().path("gone.db").exists());
    }
}

#[test]
fn database_dropped_while_a_replica_was_away_is_dropped_there_too() {
    let mut cluster = Cluster::start(2);
    run(&open(cluster.primary(), "app.db"), "CREATE TABLE t (x)");
    await_same_position(cluster.primary(), cluster.replica(), "app.db");
    cluster.nodes[1].stop();
    std::fs::remove_file(cluster.primary().path("app.db")).unwrap();
    cluster.nodes[1].start();
    await_same_position(cluster.primary(), cluster.replica(), "app.db");
    assert!(!cluster.replica().path("app.db").exists());
}

#[test]
fn primary_that_was_away_is_followed_again() {
    let mut cluster = Cluster::start(2);
    for mode in JOURNAL_MODES {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    }
    cluster.nodes[0].stop();
    cluster.nodes[0].start();
    for mode in JOURNAL_MODES {
        let connection = open(cluster.primary(), mode);
        assert_eq!(
            query::<String>(&connection, "PRAGMA journal_mode"),
            if mode == "wal" { "wal" } else { "delete" }
        );
        run(&connection, "INSERT INTO t VALUES (2)");
        assert_replicated(cluster.primary(), cluster.replica(), mode);
    }
}

#[test]
fn replica_that_was_away_longer_than_the_log_reaches_gets_a_snapshot() {
    let options = Options {
        data: ", retention: 100ms, retention-size: 1MB, retention-monitor-interval: 200ms",
        ..Options::default()
    };
    let mut cluster = Cluster::start_with(2, options);
    let connection = open(cluster.primary(), "app.db");
    set_mode(&connection, "wal");
    run(&connection, "CREATE TABLE t (x)");
    await_same_position(cluster.primary(), cluster.replica(), "app.db");
    cluster.nodes[1].stop();
    // Segments are let go of as a whole, so there must be more than one.
    for _ in 0..24 {
        run(&connection, "DELETE FROM t; INSERT INTO t VALUES (randomblob(4000000))");
    }
    wait_until("the log to begin later", || first_in_log(&cluster) > 2);
    cluster.nodes[1].start();
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    run(&connection, "INSERT INTO t VALUES ('after')");
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
}

/// The oldest transaction in the primary's log.
fn first_in_log(cluster: &Cluster) -> u64 {
    let output = cluster.primary().command(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = status["databases"]["app.db"]["logFirst"].as_str();
    u64::from_str_radix(text.unwrap_or_else(|| panic!("{status}")), 16).unwrap()
}
