//! Programs that write without a journal have given up atomicity, not replication.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::support::{Cluster, assert_replicated, await_same_position, open, query, run, set_mode};

#[test]
fn journal_modes_off_and_memory_arrive() {
    let mut cluster = Cluster::start(2);
    for mode in ["off", "memory"] {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))");
        run(&connection, "UPDATE t SET x = 'small'; INSERT INTO t VALUES (2)");
        drop(connection);
        assert_replicated(cluster.primary(), cluster.replica(), mode);
        assert_eq!(query::<u32>(&open(cluster.replica(), mode), "SELECT count(*) FROM t"), 2);
    }
    for node in &mut cluster.nodes {
        node.kill();
        node.start();
    }
    for mode in ["off", "memory"] {
        assert_replicated(cluster.primary(), cluster.replica(), mode);
    }
}

#[test]
fn byte_changed_by_another_program_arrives() {
    let cluster = Cluster::start(2);
    let connection = open(cluster.primary(), "app.db");
    run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES ('aaaaaaaaaaaaaaaa')");
    drop(connection);
    await_same_position(cluster.primary(), cluster.replica(), "app.db");
    let path = cluster.primary().path("app.db");
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(16).position(|bytes| bytes == b"aaaaaaaaaaaaaaaa").unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.write_at(b"b", at as u64).unwrap();
    file.sync_all().unwrap();
    drop(file);
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    assert_eq!(query::<String>(&open(cluster.replica(), "app.db"), "SELECT x FROM t"), "baaaaaaaaaaaaaaa");
}
