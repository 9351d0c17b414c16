use crate::support::{
    Cluster, JOURNAL_MODES, assert_replicated, await_same_position, open, query, run, set_mode,
    sqlite3_prints,
};

/// Changes of every kind: rows, schema, overflow pages, free pages, rollback.
const CHANGES: [&str; 8] = [
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); CREATE INDEX by_a ON t (a)",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
     INSERT INTO t SELECT i, i * 7919 % 1000, hex(zeroblob(i % 200)) FROM n",
    "UPDATE t SET b = a || b WHERE id % 3 = 0",
    "BEGIN; DELETE FROM t; ROLLBACK",
    "ALTER TABLE t ADD COLUMN c DEFAULT 'x'; CREATE VIEW v AS SELECT a, c FROM t",
    "INSERT INTO t (a, b) VALUES (0, zeroblob(300000))",
    "DELETE FROM t WHERE id BETWEEN 300 AND 1500; DROP INDEX by_a",
    "VACUUM",
];

#[test]
fn every_change_arrives_in_every_journal_mode() {
    let cluster = Cluster::start(2);
    for mode in JOURNAL_MODES {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        for change in CHANGES {
            run(&connection, change);
            assert_replicated(cluster.primary(), cluster.replica(), mode);
        }
    }
    // Databases that were idle since stand where they stood.
    for mode in JOURNAL_MODES {
        assert_replicated(cluster.primary(), cluster.replica(), mode);
    }
}

#[test]
fn every_page_size_arrives() {
    let cluster = Cluster::start(2);
    for mode in ["delete", "wal"] {
        for page_size in [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536] {
            let name = format!("{mode}{page_size}.db");
            let connection = open(cluster.primary(), &name);
            run(&connection, &format!("PRAGMA page_size={page_size}"));
            set_mode(&connection, mode);
            for change in CHANGES {
                run(&connection, change);
            }
            assert_replicated(cluster.primary(), cluster.replica(), &name);
            assert_eq!(query::<u32>(&open(cluster.replica(), &name), "PRAGMA page_size"), page_size);
        }
    }
}

#[test]
fn transactions_reach_two_replicas_from_several_databases_at_once() {
    let cluster = Cluster::start(3);
    let names: Vec<String> = (0..6).map(|number| format!("{number}.db")).collect();
    std::thread::scope(|scope| {
        for (name, mode) in names.iter().zip(JOURNAL_MODES.iter().cycle()) {
            let primary = cluster.primary();
            scope.spawn(move || {
                let connection = open(primary, name);
                set_mode(&connection, mode);
                run(&connection, "CREATE TABLE t (x)");
                for number in 0..100 {
                    run(&connection, &format!("INSERT INTO t VALUES (hex(zeroblob({number})))"));
                }
            });
        }
    });
    for name in &names {
        for replica in &cluster.nodes[1..] {
            assert_replicated(cluster.primary(), replica, name);
            assert_eq!(query::<u32>(&open(replica, name), "SELECT count(*) FROM t"), 100);
        }
    }
}

#[test]
fn database_is_dropped_and_created_anew_with_other_schema_and_page_size() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    for (round, page_size) in [4096, 1024, 65536, 4096].into_iter().enumerate() {
        let connection = open(primary, "app.db");
        run(&connection, &format!("PRAGMA page_size={page_size}; CREATE TABLE t{round} (x)"));
        run(&connection, &format!("INSERT INTO t{round} VALUES (zeroblob(100000))"));
        assert_replicated(primary, replica, "app.db");
        assert_eq!(query::<u32>(&open(replica, "app.db"), "PRAGMA page_size"), page_size);
        drop(connection);
        std::fs::remove_file(primary.path("app.db")).unwrap();
        await_same_position(primary, replica, "app.db");
        assert!(!replica.path("app.db").exists(), "the replica still shows a dropped database");
        assert!(primary.position("app.db").unwrap().ends_with("/8000000000000000\n"));
    }
}

#[test]
fn journal_mode_changes_both_ways_while_readers_are_attached() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    let connection = open(primary, "app.db");
    run(&connection, "CREATE TABLE t (x)");
    await_same_position(primary, replica, "app.db");
    let reader = open(replica, "app.db");
    let mut rows = 0;
    for mode in ["wal", "delete", "wal", "truncate", "wal", "persist", "delete", "wal", "delete"] {
        set_mode(&connection, mode);
        for _ in 0..3 {
            rows += 1;
            run(&connection, &format!("INSERT INTO t VALUES (hex(zeroblob({rows} * 100)))"));
            await_same_position(primary, replica, "app.db");
            assert_eq!(query::<u32>(&reader, "SELECT count(*) FROM t"), rows, "in mode {mode}");
        }
        assert_replicated(primary, replica, "app.db");
    }
}

#[test]
fn vacuum_shrinks_and_grows_the_replica() {
    let cluster = Cluster::start(2);
    for mode in JOURNAL_MODES {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(3000000)), (zeroblob(4000))");
        run(&connection, "DELETE FROM t WHERE length(x) > 5000; VACUUM");
        assert!(query::<u32>(&connection, "PRAGMA page_count") < 10);
        assert_replicated(cluster.primary(), cluster.replica(), mode);
        run(&connection, "INSERT INTO t VALUES (zeroblob(2000000)); VACUUM");
        assert_replicated(cluster.primary(), cluster.replica(), mode);
    }
}

#[test]
fn page_size_changes_by_vacuum() {
    let cluster = Cluster::start(2);
    let connection = open(cluster.primary(), "app.db");
    run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(50000))");
    await_same_position(cluster.primary(), cluster.replica(), "app.db");
    for page_size in [8192, 512, 4096] {
        run(
            &connection,
            &format!("PRAGMA page_size={page_size}; VACUUM; INSERT INTO t VALUES ({page_size})"),
        );
        assert_eq!(query::<u32>(&connection, "PRAGMA page_size"), page_size);
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    }
}

#[test]
fn transaction_larger_than_the_cache_arrives_once() {
    let cluster = Cluster::start(2);
    for mode in JOURNAL_MODES {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        run(&connection, "PRAGMA cache_size=10; CREATE TABLE t (id INTEGER PRIMARY KEY, x)");
        let before = txid(cluster.primary(), mode);
        run(
            &connection,
            "BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
             INSERT INTO t SELECT i, hex(randomblob(200)) FROM n; SAVEPOINT s; DELETE FROM t WHERE id % 2 = 0;
             UPDATE t SET x = hex(randomblob(300)); ROLLBACK TO s; UPDATE t SET x = x || id WHERE id % 5 = 0; COMMIT",
        );
        assert_eq!(txid(cluster.primary(), mode), before + 1, "in mode {mode}");
        assert_replicated(cluster.primary(), cluster.replica(), mode);
    }
}

#[test]
fn position_and_role_are_shown_as_files() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    sqlite3_prints(&primary.path("app.db"), "CREATE TABLE t (x)");
    await_same_position(primary, replica, "app.db");
    assert_eq!(txid(replica, "app.db"), 1);
    assert!(!primary.path(".primary").exists());
    assert_eq!(std::fs::read_to_string(replica.path(".primary")).unwrap(), "primary\n");
    assert_eq!(std::fs::read_to_string(primary.path(".lag")).unwrap(), "+000000000\n");
    assert_eq!(primary.info()["isPrimary"], true);
    assert_eq!(replica.info()["isPrimary"], false);
    assert_eq!(primary.info()["clusterID"], replica.info()["clusterID"]);
}

/// The number of the last transaction of a database.
fn txid(node: &crate::support::Node, name: &str) -> u64 {
    u64::from_str_radix(&node.position(name).unwrap()[..16], 16).unwrap()
}
