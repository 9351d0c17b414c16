//! What LiteFS 0.5 is known to get wrong. The numbers name the defects, here and in the other tests.

use crate::support::{
    Cluster, assert_replicated, await_same_position, open, python, query, run, set_mode, sqlite3_prints,
    wait_until,
};

#[test]
fn b01_switch_from_wal_to_delete_keeps_replicas() {
    for mode in ["delete", "truncate", "persist"] {
        let mut cluster = Cluster::start(2);
        let connection = open(cluster.primary(), "app.db");
        set_mode(&connection, "wal");
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(20000))");
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
        set_mode(&connection, mode);
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
        run(&connection, "INSERT INTO t VALUES (1)");
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
        drop(connection);
        // The replica that took the switch can start again.
        cluster.nodes[1].stop();
        cluster.nodes[1].start();
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    }
}

#[test]
fn b02_wal_commit_that_shrinks_across_many_pages_is_kept() {
    let mut cluster = Cluster::start(2);
    for (name, shrink) in [
        ("vacuum.db", "DELETE FROM t; VACUUM"),
        ("full.db", "DELETE FROM t"),
        ("incremental.db", "DELETE FROM t; PRAGMA incremental_vacuum"),
    ] {
        let connection = open(cluster.primary(), name);
        let auto = name.strip_suffix(".db").filter(|auto| *auto != "vacuum").unwrap_or("none");
        run(&connection, &format!("PRAGMA auto_vacuum={auto}"));
        set_mode(&connection, "wal");
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(3000000))");
        assert!(query::<u32>(&connection, "PRAGMA page_count") > 512);
        assert_replicated(cluster.primary(), cluster.replica(), name);
        for statement in shrink.split("; ") {
            let mut statement = connection.prepare(statement).unwrap();
            // incremental_vacuum goes on for as long as it is asked for rows.
            let mut rows = statement.query([]).unwrap();
            while rows.next().unwrap().is_some() {}
        }
        assert!(query::<u32>(&connection, "PRAGMA page_count") < 10, "{name} has not shrunk");
        assert_replicated(cluster.primary(), cluster.replica(), name);
        run(&connection, "INSERT INTO t VALUES ('after')");
    }
    for node in &mut cluster.nodes {
        node.kill();
        node.start();
    }
    for name in ["vacuum.db", "full.db", "incremental.db"] {
        assert_eq!(query::<String>(&open(cluster.primary(), name), "SELECT x FROM t"), "after");
        assert_replicated(cluster.primary(), cluster.replica(), name);
    }
}

#[test]
fn b03_pages_that_sqlite_never_wrote_are_part_of_the_transaction() {
    let mut cluster = Cluster::start(2);
    let connection = open(cluster.primary(), "app.db");
    run(&connection, "PRAGMA secure_delete=OFF; CREATE TABLE keep (x)");
    // The pages of the first table are free again before anything of them is written.
    run(
        &connection,
        "BEGIN; CREATE TABLE gone (x); INSERT INTO gone VALUES (zeroblob(400000)); CREATE TABLE last (x);
         INSERT INTO last VALUES (zeroblob(9000)); DROP TABLE gone; COMMIT",
    );
    assert!(query::<u32>(&connection, "PRAGMA freelist_count") > 50);
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    drop(connection);
    for node in &mut cluster.nodes {
        node.stop();
        node.start();
    }
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    // Who joins now gets them in a snapshot.
    cluster.add().start();
    assert_replicated(cluster.primary(), &cluster.nodes[2], "app.db");
    // And they can be used.
    run(&open(cluster.primary(), "app.db"), "INSERT INTO keep VALUES (zeroblob(400000))");
    assert_replicated(cluster.primary(), &cluster.nodes[2], "app.db");
}

#[test]
fn b03_the_first_transaction_may_leave_pages_unwritten() {
    let cluster = Cluster::start(2);
    let connection = open(cluster.primary(), "app.db");
    run(
        &connection,
        "PRAGMA secure_delete=OFF; BEGIN; CREATE TABLE gone (x); INSERT INTO gone VALUES (zeroblob(400000));
         CREATE TABLE last (x); INSERT INTO last VALUES (zeroblob(9000)); DROP TABLE gone; COMMIT",
    );
    assert!(query::<u32>(&connection, "PRAGMA freelist_count") > 50);
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
}

#[test]
fn b04_crash_in_the_very_first_transaction_is_survived() {
    let mut cluster = Cluster::start(1);
    let connection = open(cluster.primary(), "app.db");
    // Pages are spilled before the commit, so the journal is on the disk.
    run(&connection, "PRAGMA cache_size=5; PRAGMA cache_spill=5; BEGIN; CREATE TABLE t (x)");
    run(&connection, "INSERT INTO t VALUES (zeroblob(200000))");
    cluster.nodes[0].kill();
    drop(connection);
    cluster.nodes[0].start();
    let text = sqlite3_prints(
        &cluster.primary().path("app.db"),
        "CREATE TABLE u (x); SELECT count(*) FROM sqlite_schema",
    );
    assert_eq!(text, "1");
}

#[test]
fn b06_names_that_belong_to_litefs_cannot_be_created_and_others_still_can() {
    let cluster = Cluster::start(1);
    for name in ["foo-pos", "foo-lock", ".lag"] {
        let error = std::fs::File::create_new(cluster.primary().path(name)).unwrap_err();
        assert_ne!(error.raw_os_error(), Some(rustix::io::Errno::NOSYS.raw_os_error()), "{name}");
        sqlite3_prints(&cluster.primary().path(&format!("after{name}.db")), "CREATE TABLE t (x)");
    }
}

#[test]
fn b07_lock_on_several_bytes_of_the_wal_index_is_taken_whole_or_not_at_all() {
    let cluster = Cluster::start(1);
    let connection = open(cluster.primary(), "app.db");
    set_mode(&connection, "wal");
    run(&connection, "CREATE TABLE t (x)");
    // Every process has one lock of its own: the first a reader's mark, the second none after it asked for all four.
    let printed = python(
        "import fcntl, os, sys
def lock(first, count):
    fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB, count, first)
lock(127, 1)
refused, end = os.pipe(), os.pipe()
if os.fork() == 0:
    try: lock(124, 4)
    except BlockingIOError: os.write(refused[1], b'refused')
    os.close(end[1])
    os.read(end[0], 1)
    os._exit(0)
print(os.read(refused[0], 10).decode())
third = os.fork()
if third == 0:
    lock(124, 3)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(third, 0)[1]))",
        &[&cluster.primary().path("app.db-shm")],
    );
    assert_eq!(printed, "refused\n0");
}

#[test]
fn b09_database_can_be_made_again_with_another_page_size() {
    let cluster = Cluster::start(2);
    for (page_size, mode) in [(4096, "wal"), (512, "delete"), (65536, "wal"), (1024, "persist")] {
        let connection = open(cluster.primary(), "app.db");
        run(&connection, &format!("PRAGMA page_size={page_size}"));
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))");
        assert_eq!(query::<u32>(&connection, "PRAGMA page_size"), page_size);
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
        drop(connection);
        std::fs::remove_file(cluster.primary().path("app.db")).unwrap();
    }
}

#[test]
fn b10_journal_size_limit_is_honoured_in_persist_mode() {
    let cluster = Cluster::start(2);
    let connection = open(cluster.primary(), "app.db");
    set_mode(&connection, "persist");
    let limit: u32 = query(&connection, "PRAGMA journal_size_limit=10000");
    assert_eq!(limit, 10000);
    run(
        &connection,
        "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000)); UPDATE t SET x = zeroblob(90000)",
    );
    run(&connection, "DELETE FROM t; INSERT INTO t VALUES (1)");
    let len = std::fs::metadata(cluster.primary().path("app.db-journal")).unwrap().len();
    assert!(len <= 10000, "the journal has {len} bytes");
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    // A journal that is empty already is truncated and removed without a transaction.
    let position = cluster.primary().position("app.db");
    std::fs::File::options()
        .write(true)
        .open(cluster.primary().path("app.db-journal"))
        .unwrap()
        .set_len(0)
        .unwrap();
    std::fs::remove_file(cluster.primary().path("app.db-journal")).unwrap();
    assert_eq!(cluster.primary().position("app.db"), position);
    run(&connection, "INSERT INTO t VALUES (2)");
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
}

#[test]
fn b11_transaction_over_two_attached_databases_commits_both() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    for mode in ["delete", "truncate", "persist", "wal"] {
        let (one, two) = (format!("one-{mode}.db"), format!("two-{mode}.db"));
        let connection = open(primary, &one);
        run(&connection, &format!("ATTACH '{}' AS two", primary.path(&two).display()));
        set_mode(&connection, mode);
        assert_eq!(query::<String>(&connection, &format!("PRAGMA two.journal_mode={mode}")), mode);
        run(&connection, "CREATE TABLE main.t (x); CREATE TABLE two.t (x)");
        for number in 0..5 {
            run(
                &connection,
                &format!(
                    "BEGIN; INSERT INTO main.t VALUES ({number}); INSERT INTO two.t VALUES ({number}); COMMIT"
                ),
            );
        }
        run(&connection, "BEGIN; DELETE FROM main.t; DELETE FROM two.t; ROLLBACK");
        for name in [&one, &two] {
            assert_replicated(primary, replica, name);
            assert_eq!(query::<u32>(&open(replica, name), "SELECT count(*) FROM t"), 5);
        }
    }
    let left: Vec<_> = std::fs::read_dir(primary.mount())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("-mj"))
        .collect();
    assert!(left.is_empty(), "super-journals were left behind: {left:?}");
}

#[test]
fn b13_names_that_are_paths_are_refused_and_touch_nothing() {
    let cluster = Cluster::start(1);
    let data = cluster.primary().data();
    let long = "x".repeat(300);
    for name in ["", "../x", "a/b", "..", ".", "a%00b", "a%2Fb", long.as_str()] {
        for path in ["export", "halt"] {
            let (status, body) =
                crate::support::get(cluster.primary().address(), &format!("/{path}?name={name}"));
            let body = String::from_utf8(body).unwrap();
            let wanted = if path == "halt" { [404, 405].as_slice() } else { &[400] };
            assert!(wanted.contains(&status), "{path} {name}: {status} {body}");
        }
    }
    let names: Vec<_> =
        std::fs::read_dir(data.join("dbs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.is_empty(), "{names:?}");
    assert!(!data.join("x").exists() && !data.join("dbs/../x").exists());
}

#[test]
fn b21_replica_notices_a_primary_that_is_gone_and_follows_it_when_it_is_back() {
    let mut cluster = Cluster::start(2);
    sqlite3_prints(&cluster.primary().path("app.db"), "CREATE TABLE t (x)");
    await_same_position(cluster.primary(), cluster.replica(), "app.db");
    cluster.nodes[0].kill();
    // What is there stays readable meanwhile.
    assert_eq!(sqlite3_prints(&cluster.replica().path("app.db"), "SELECT count(*) FROM t"), "0");
    cluster.nodes[0].start();
    sqlite3_prints(&cluster.primary().path("app.db"), "INSERT INTO t VALUES (1)");
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
}

#[test]
fn b31_database_can_be_removed_while_a_connection_is_open() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    for mode in ["delete", "wal"] {
        let connection = open(primary, "app.db");
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
        for suffix in ["-wal", "-shm", ""] {
            let _ = std::fs::remove_file(primary.path(&format!("app.db{suffix}")));
        }
        await_same_position(primary, replica, "app.db");
        assert!(!replica.path("app.db").exists());
        drop(connection);
        sqlite3_prints(&primary.path("app.db"), "CREATE TABLE u (y); INSERT INTO u VALUES (2)");
        assert_replicated(primary, replica, "app.db");
        std::fs::remove_file(primary.path("app.db")).unwrap();
        await_same_position(primary, replica, "app.db");
    }
}

#[test]
fn b36_primary_that_cannot_be_reached_is_named_all_the_time() {
    let mut cluster = Cluster::start(2);
    cluster.nodes[0].kill();
    wait_until("several attempts to reach the primary", || {
        assert_eq!(std::fs::read_to_string(cluster.replica().path(".primary")).unwrap(), "primary\n");
        cluster.replica().log().matches("retrying").count() >= 5
    });
}
