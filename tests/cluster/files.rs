//! What people do with database files in a mount: it works, and arrives.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;

use crate::support::{
    Cluster, Node, assert_replicated, assert_same_bytes, await_same_position, open, python, query, run,
    set_mode, sqlite3_prints, wait_until,
};

/// A database outside of any mount, with `rows` rows.
fn made(directory: &Path, mode: &str, rows: u32) -> PathBuf {
    let path = directory.join(format!("{mode}-{rows}.db"));
    let connection = Connection::open(&path).unwrap();
    set_mode(&connection, mode);
    run(&connection, "CREATE TABLE t (x, y); CREATE INDEX i ON t (x)");
    run(
        &connection,
        &format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO t SELECT i, hex(randomblob(100)) FROM n"
        ),
    );
    path
}

/// Asserts that a file that was written without SQLite is a transaction once the program that wrote it has ended.
#[track_caller]
fn assert_captured(node: &Node, name: &str, before: Option<&str>) {
    let position = node.position(name).unwrap();
    assert_ne!(Some(position.as_str()), before);
    assert!(!position.starts_with("0000000000000000/"), "{name} is at {position}");
}

fn command(program: &str, arguments: &[&Path]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn database_copied_into_the_mount_arrives() {
    let cluster = Cluster::start(2);
    for mode in ["delete", "wal"] {
        let source = made(cluster.directory(), mode, 3000);
        let name = format!("{mode}.db");
        command("cp", &[&source, &cluster.primary().path(&name)]);
        assert_captured(cluster.primary(), &name, None);
        assert_replicated(cluster.primary(), cluster.replica(), &name);
        assert_same_bytes(&cluster.replica().export(&name), &fs::read(&source).unwrap());
        // It is a database like any other.
        run(&open(cluster.primary(), &name), "INSERT INTO t VALUES (0, 'after')");
        assert_replicated(cluster.primary(), cluster.replica(), &name);
    }
}

#[test]
fn database_copied_over_another_one_replaces_it() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    for rows in [3000, 10, 5000] {
        let source = made(cluster.directory(), "delete", rows);
        let before = primary.position("app.db");
        command("cp", &[&source, &primary.path("app.db")]);
        assert_captured(primary, "app.db", before.as_deref());
        assert_replicated(primary, replica, "app.db");
        assert_same_bytes(&replica.export("app.db"), &fs::read(&source).unwrap());
        assert_eq!(query::<u32>(&open(replica, "app.db"), "SELECT count(*) FROM t"), rows);
    }
}

#[test]
fn database_moved_into_the_mount_and_out_of_it_arrives_and_is_gone() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    let source = made(cluster.directory(), "delete", 500);
    let bytes = fs::read(&source).unwrap();
    command("mv", &[&source, &primary.path("app.db")]);
    assert_captured(primary, "app.db", None);
    assert_replicated(primary, replica, "app.db");
    assert_same_bytes(&replica.export("app.db"), &bytes);
    let back = cluster.directory().join("back.db");
    command("mv", &[&primary.path("app.db"), &back]);
    await_same_position(primary, replica, "app.db");
    assert!(!replica.path("app.db").exists());
    assert_same_bytes(&fs::read(&back).unwrap(), &bytes);
}

#[test]
fn database_renamed_in_the_mount_has_its_new_name_everywhere() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    for mode in ["delete", "wal"] {
        let connection = open(primary, "old.db");
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES ('kept')");
        drop(connection);
        command("mv", &[&primary.path("old.db"), &primary.path("new.db")]);
        assert_replicated(primary, replica, "new.db");
        await_same_position(primary, replica, "old.db");
        assert!(!replica.path("old.db").exists() && !primary.path("old.db").exists());
        assert_eq!(query::<String>(&open(replica, "new.db"), "SELECT x FROM t"), "kept");
    }
}

#[test]
fn database_renamed_over_another_one_replaces_it() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    sqlite3_prints(&primary.path("app.db"), "CREATE TABLE t (x); INSERT INTO t VALUES ('old')");
    await_same_position(primary, replica, "app.db");
    sqlite3_prints(&primary.path("next.db"), "CREATE TABLE t (x); INSERT INTO t VALUES ('new')");
    command("mv", &[&primary.path("next.db"), &primary.path("app.db")]);
    assert_replicated(primary, replica, "app.db");
    assert_eq!(sqlite3_prints(&replica.path("app.db"), "SELECT x FROM t"), "new");
    wait_until("the end of the old name on the replica", || !replica.path("next.db").exists());
}

#[test]
fn database_removed_is_gone_everywhere_and_after_a_restart() {
    let mut cluster = Cluster::start(2);
    sqlite3_prints(&cluster.primary().path("app.db"), "CREATE TABLE t (x)");
    await_same_position(cluster.primary(), cluster.replica(), "app.db");
    command("rm", &[&cluster.primary().path("app.db")]);
    await_same_position(cluster.primary(), cluster.replica(), "app.db");
    for node in &mut cluster.nodes {
        node.stop();
        node.start();
    }
    for node in &cluster.nodes {
        assert!(!node.path("app.db").exists());
        assert!(fs::read_dir(node.mount()).unwrap().all(|entry| entry.unwrap().file_name() != "app.db"));
    }
}

#[test]
fn modes_and_times_of_a_database_can_be_set() {
    let cluster = Cluster::start(1);
    let path = cluster.primary().path("app.db");
    sqlite3_prints(&path, "CREATE TABLE t (x)");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    command("touch", &[&path]);
    assert_eq!(sqlite3_prints(&path, "INSERT INTO t VALUES (1); SELECT count(*) FROM t"), "1");
}

#[test]
fn vacuum_into_the_mount_and_out_of_it_works() {
    let cluster = Cluster::start(2);
    let (primary, replica) = (cluster.primary(), cluster.replica());
    let source = made(cluster.directory(), "wal", 2000);
    sqlite3_prints(&source, &format!("VACUUM INTO '{}'", primary.path("app.db").display()));
    assert_replicated(primary, replica, "app.db");
    sqlite3_prints(&primary.path("app.db"), &format!("VACUUM INTO '{}'", primary.path("copy.db").display()));
    assert_replicated(primary, replica, "copy.db");
    let out = cluster.directory().join("out.db");
    sqlite3_prints(&replica.path("copy.db"), &format!("VACUUM INTO '{}'", out.display()));
    assert_eq!(sqlite3_prints(&out, ".sha3sum"), sqlite3_prints(&source, ".sha3sum"));
}

#[test]
fn backup_api_writes_into_the_mount_in_steps() {
    let cluster = Cluster::start(2);
    let source = made(cluster.directory(), "delete", 3000);
    for round in 0..2 {
        python(
            "import sqlite3, sys
sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]), pages=7, sleep=0.001)",
            &[&source, &cluster.primary().path("app.db")],
        );
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
        run(
            &Connection::open(&source).unwrap(),
            &format!("DELETE FROM t WHERE x > {}; VACUUM", 1000 - round),
        );
    }
    // And out of the replica.
    let out = cluster.directory().join("out.db");
    python(
        "import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))",
        &[&cluster.replica().path("app.db"), &out],
    );
    assert_eq!(
        sqlite3_prints(&out, ".sha3sum"),
        sqlite3_prints(&cluster.primary().path("app.db"), ".sha3sum")
    );
}
