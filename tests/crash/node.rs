use std::fs;

use super::{Moments, rounds};
use crate::support::{Cluster, Writer, assert_replicated, assert_written, open, query, set_mode};

/// Kills the primary or the replica, now and then both, while a program writes.
fn nodes_are_killed(mode: &str, synchronous: &str) {
    let mut moments = Moments::new(&format!("{mode}{synchronous}"));
    let mut cluster = Cluster::start(2);
    let connection = open(cluster.primary(), "app.db");
    set_mode(&connection, mode);
    Writer::prepare(&connection);
    drop(connection);
    let mut next = 0;
    for round in 0..rounds() {
        let before: i64 = next;
        let writer = Writer::start(&cluster.primary().path("app.db"), synchronous, next, 0);
        writer.await_number(next + 3);
        moments.pass();
        let kind = (u64::from(round) + moments.number() % 2) % 4;
        let (last, error) = match kind {
            0 | 3 => {
                cluster.nodes[0].kill();
                if kind == 3 {
                    cluster.nodes[1].kill();
                    cluster.nodes[1].launch();
                }
                let ended = writer.await_end();
                assert!(ended.1.is_some(), "the writer has not noticed that the primary died");
                cluster.nodes[0].start();
                ended
            }
            _ => {
                cluster.nodes[1].kill();
                writer.await_number(writer.last().unwrap() + 10);
                cluster.nodes[1].launch();
                moments.pass();
                let ended = writer.kill();
                assert_eq!(ended.1, None, "the death of a replica has disturbed the writer");
                ended
            }
        };
        let path = cluster.primary().path("app.db");
        next = assert_written(&path, last);
        cluster.nodes[1].await_ready();
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
        assert_eq!(assert_written(&cluster.replica().path("app.db"), last), next);
        assert_eq!(query::<String>(&open(cluster.primary(), "app.db"), "PRAGMA journal_mode"), kept(mode));
        println!("{mode} {synchronous} round {round}: {kind}, {} transactions, {error:?}", next - before);
        assert!(fs::read_dir(cluster.primary().data().join("dbs/app.db")).unwrap().count() > 0);
    }
}

/// The journal mode of a connection that does not ask for one: only WAL mode is a property of the file.
fn kept(mode: &str) -> &'static str {
    if mode == "wal" { "wal" } else { "delete" }
}

macro_rules! killed {
    ($($name:ident: $mode:literal, $synchronous:literal;)*) => {$(
        #[test]
        fn $name() {
            nodes_are_killed($mode, $synchronous);
        }
    )*};
}

killed! {
    killed_nodes_keep_what_was_committed_in_delete_mode: "delete", "FULL";
    killed_nodes_keep_what_was_committed_in_delete_mode_with_few_syncs: "delete", "NORMAL";
    killed_nodes_keep_what_was_committed_in_truncate_mode: "truncate", "FULL";
    killed_nodes_keep_what_was_committed_in_truncate_mode_with_few_syncs: "truncate", "NORMAL";
    killed_nodes_keep_what_was_committed_in_persist_mode: "persist", "FULL";
    killed_nodes_keep_what_was_committed_in_persist_mode_with_few_syncs: "persist", "NORMAL";
    killed_nodes_keep_what_was_committed_in_wal_mode: "wal", "FULL";
    killed_nodes_keep_what_was_committed_in_wal_mode_with_few_syncs: "wal", "NORMAL";
}
