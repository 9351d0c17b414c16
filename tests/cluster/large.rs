//! Databases of a real size. What takes long runs only if `LITEFS_SLOW_TESTS` is set.

use std::time::Instant;

use crate::support::{
    Cluster, assert_replicated, assert_same_bytes, await_same_position, open, query, run, set_mode,
};

/// The page that SQLite's locks are in. It is never written.
const LOCK_PAGE_OFFSET: u32 = 1 << 30;

#[test]
fn lock_page_is_left_out() {
    if !is_slow_wanted() {
        return;
    }
    let mut cluster = Cluster::start(2);
    let connection = open(cluster.primary(), "app.db");
    run(&connection, "PRAGMA page_size=65536; CREATE TABLE t (x)");
    set_mode(&connection, "wal");
    for _ in 0..2 {
        run(&connection, "INSERT INTO t VALUES (zeroblob(545000000))");
    }
    run(&connection, "INSERT INTO t VALUES ('beyond the lock page')");
    assert!(query::<u32>(&connection, "PRAGMA page_count") > LOCK_PAGE_OFFSET / 65536 + 1);
    for _ in 0..2 {
        await_same_position(cluster.primary(), cluster.replica(), "app.db");
        assert_same_bytes(&cluster.primary().export("app.db"), &cluster.replica().export("app.db"));
        let reader = open(cluster.replica(), "app.db");
        assert_eq!(query::<String>(&reader, "PRAGMA quick_check"), "ok");
        run(&connection, "INSERT INTO t VALUES ('again')");
    }
    drop(connection);
    for node in &mut cluster.nodes {
        node.kill();
        node.start();
    }
    await_same_position(cluster.primary(), cluster.replica(), "app.db");
    cluster.add().start();
    await_same_position(cluster.primary(), &cluster.nodes[2], "app.db");
    assert_same_bytes(&cluster.primary().export("app.db"), &cluster.nodes[2].export("app.db"));
}

#[test]
fn dataset_of_hundreds_of_megabytes_is_loaded_indexed_and_vacuumed() {
    if !is_slow_wanted() {
        return;
    }
    for mode in ["wal", "delete"] {
        let mut cluster = Cluster::start(2);
        let connection = open(cluster.primary(), "app.db");
        set_mode(&connection, mode);
        run(&connection, "PRAGMA synchronous=NORMAL");
        run(
            &connection,
            "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, mail TEXT UNIQUE, born INT);
             CREATE TABLE event (id INTEGER PRIMARY KEY, person INT REFERENCES person, at INT, kind TEXT, body BLOB)",
        );
        let step = |what: &str, sql: &str| {
            let started = Instant::now();
            for statement in sql.split(';') {
                run(&connection, statement);
            }
            let written = started.elapsed();
            await_same_position(cluster.primary(), cluster.replica(), "app.db");
            let size = query::<i64>(&connection, "PRAGMA page_count") * 4096 / 1_000_000;
            println!(
                "{mode}: {what}: {written:.1?}, on the replica after {:.1?}, {size} MB",
                started.elapsed()
            );
        };
        step(
            "200,000 persons",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
             INSERT INTO person SELECT i, printf('name %x', i * 2654435761 % 4294967296),
             printf('%x@example.com', i), i * 7919 % 30000 FROM n",
        );
        for batch in 0..10 {
            step(
                "100,000 events",
                &format!(
                    "WITH RECURSIVE n(i) AS (SELECT {batch} * 100000 + 1 UNION ALL
                     SELECT i + 1 FROM n WHERE i < ({batch} + 1) * 100000)
                     INSERT INTO event SELECT i, i * 48271 % 200000 + 1, i, substr('abcdefgh', i % 8 + 1, 1),
                     printf('%0*x', 100 + i % 200, i * 2654435761) FROM n"
                ),
            );
        }
        step(
            "two indexes",
            "CREATE INDEX by_person ON event (person, at); CREATE INDEX by_kind ON event (kind, id)",
        );
        assert!(query::<i64>(&connection, "PRAGMA page_count") * 4096 > 200_000_000);
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
        step("a third deleted", "DELETE FROM event WHERE id % 3 = 0");
        step("vacuumed", "VACUUM");
        step("a tenth updated", "UPDATE event SET body = kind || body WHERE id % 10 = 1");
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
        drop(connection);
        let started = Instant::now();
        cluster.add().start();
        await_same_position(cluster.primary(), &cluster.nodes[2], "app.db");
        println!("{mode}: a new replica has it after {:.1?}", started.elapsed());
        assert_replicated(cluster.primary(), &cluster.nodes[2], "app.db");
        for node in &mut cluster.nodes {
            node.kill();
            let started = Instant::now();
            node.start();
            println!("{mode}: ready {:.1?} after kill -9", started.elapsed());
        }
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    }
}

fn is_slow_wanted() -> bool {
    std::env::var_os("LITEFS_SLOW_TESTS").is_some()
}
