//! Unmodified SQLite in the mount.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use litefs_core::{Errno, File};
use litefs_fuse::Databases;

use crate::fixture::{Fixture, wait_until};

pub(crate) const MODES: [&str; 7] =
    ["delete", "truncate", "persist", "wal", "memory", "off", "exclusive wal"];

/// The connections are in processes of their own: one that has a wal-index of its own mount mapped can wait for itself
/// where there is no passthrough.
pub(crate) fn every_journal_mode_works<D: Databases>(fixture: &Fixture<D>) {
    let script = r#"
import sqlite3, subprocess, sys
mode, path = sys.argv[1:]
first = sqlite3.connect(path, timeout=10, isolation_level=None)
if mode.startswith("exclusive "):
    first.execute("pragma locking_mode = exclusive")
first.execute("pragma journal_mode = " + mode.split()[-1])
first.executescript("create table t(x); insert into t values (1), (2)")
first.executescript("begin; insert into t select randomblob(3000) from t, t; commit")
if mode.startswith("exclusive "):
    first.close()
subprocess.run(["sqlite3", path, "insert into t values (3); select count(*) from t; pragma integrity_check"], check=True)
second = sqlite3.connect(path, timeout=10)
second.execute("delete from t where x = 3")
second.commit()
print(second.execute("select count(*) from t").fetchone()[0])
"#;
    std::fs::write(fixture.mount.path().with_file_name("modes.py"), script).unwrap();
    for mode in MODES {
        let path = fixture.path(&format!("{}.db", mode.replace(' ', "-")));
        let output = fixture.shell(&format!("python3 ../modes.py '{mode}' {}", path.display()));
        assert_eq!(output, "7\nok\n6\n", "{mode}");
    }
}

#[test]
fn every_journal_mode_works_with_passthrough() {
    let fixture = Fixture::new();
    assert!(
        fixture.mount.uses_passthrough(),
        "this machine has no passthrough: run as root on linux 6.9 or later"
    );
    every_journal_mode_works(&fixture);
}

#[test]
fn every_journal_mode_works_without_passthrough() {
    let fixture = Fixture::with(|options| options.passthrough = false);
    assert!(!fixture.mount.uses_passthrough());
    every_journal_mode_works(&fixture);
}

#[test]
fn every_journal_mode_works_on_one_thread() {
    every_journal_mode_works(&Fixture::with(|options| options.threads = 1));
}

#[test]
fn every_journal_mode_works_beside_local_files() {
    let fixture = Fixture::local();
    every_journal_mode_works(&fixture);
    assert_eq!(fixture.databases.names().len(), MODES.len(), "each became a database");
    assert_eq!(fixture.shell("ls ../data/local"), "");
}

#[test]
fn two_processes_see_each_others_transactions_in_each_mode() {
    let fixture = Fixture::new();
    for mode in ["delete", "wal"] {
        let name = format!("{mode}.db");
        let connection = fixture.connect(&name);
        connection.pragma_update(None, "journal_mode", mode).unwrap();
        connection.execute_batch("create table t(x integer)").unwrap();
        let script = format!(
            "import sqlite3\nc = sqlite3.connect('{}', timeout=20, isolation_level=None)\n\
             for i in range(100): c.execute('insert into t values (?)', (i,))",
            fixture.path(&name).display()
        );
        let mut children: Vec<_> =
            (0..2).map(|_| Command::new("python3").args(["-c", &script]).spawn().unwrap()).collect();
        for i in 0..100 {
            connection.execute("insert into t values (?1)", [i]).unwrap();
        }
        for child in &mut children {
            assert!(child.wait().unwrap().success(), "{mode}");
        }
        let (count, sum): (i64, i64) = connection
            .query_row("select count(*), sum(x) from t", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!((count, sum), (300, 3 * 4950), "{mode}");
    }
}

#[test]
fn killed_writer_leaves_a_database_the_next_one_rolls_back() {
    let fixture = Fixture::new();
    for mode in ["delete", "truncate", "persist", "wal"] {
        let name = format!("{mode}.db");
        let script = format!(
            "import sqlite3, time\nc = sqlite3.connect('{}', isolation_level=None)\n\
             c.execute('pragma journal_mode = {mode}')\nc.execute('pragma cache_size = 5')\n\
             c.execute('create table t(x)')\nc.execute('insert into t values (1)')\nc.execute('begin')\n\
             for i in range(200): c.execute('insert into t values (randomblob(2000))')\n\
             print('spilled', flush=True)\ntime.sleep(60)",
            fixture.path(&name).display()
        );
        let mut child = Command::new("python3").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "spilled\n", "{mode}");
        child.kill().unwrap();
        child.wait().unwrap();
        let connection = fixture.connect(&name);
        let count: i64 = connection.query_row("select count(*) from t", [], |row| row.get(0)).unwrap();
        let check: String = connection.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!((count, check.as_str()), (1, "ok"), "{mode}");
    }
}

#[test]
fn database_can_leave_and_enter_wal_mode_while_others_have_it_open() {
    let fixture = Fixture::new();
    let first = fixture.connect("app.db");
    first.execute_batch("pragma journal_mode = wal; create table t(x); insert into t values (1)").unwrap();
    let database = fixture.databases.get("app.db");
    drop(first);
    let reader = fixture.connect("app.db");
    assert_eq!(reader.query_row("select x from t", [], |row| row.get::<_, i64>(0)), Ok(1));
    assert!(database.unseen_writes.load(Ordering::SeqCst), "opened with passthrough");
    reader.execute_batch("pragma journal_mode = delete; insert into t values (2)").unwrap();
    let second = fixture.connect("app.db");
    second
        .execute_batch("insert into t values (3); pragma journal_mode = wal; insert into t values (4)")
        .unwrap();
    assert_eq!(reader.query_row("select sum(x) from t", [], |row| row.get::<_, i64>(0)), Ok(10));
    drop((reader, second));
    wait_until("the end of the passthrough", || !database.unseen_writes.load(Ordering::SeqCst));
}

#[test]
fn transaction_over_two_databases_uses_a_super_journal() {
    for fixture in [Fixture::new(), Fixture::local()] {
        let connection = fixture.connect("a.db");
        connection.execute_batch("create table a(x)").unwrap();
        let other = fixture.path("b.db").display().to_string();
        connection.execute("attach ?1 as b", [other]).unwrap();
        connection.execute_batch("create table b.b(x)").unwrap();
        let before = fixture.requests("Create");
        connection
            .execute_batch("begin; insert into a values (1); insert into b values (2); commit")
            .unwrap();
        assert_eq!(fixture.requests("Create") - before, 3, "two journals and their super-journal");
        assert_eq!(fixture.shell("sqlite3 b.db 'select x from b'"), "2\n");
        assert_eq!(fixture.shell("ls ../data/local"), "");
    }
}

#[test]
fn vacuum_into_and_backup_make_databases() {
    for fixture in [Fixture::new(), Fixture::local()] {
        let connection = fixture.connect("app.db");
        connection
            .execute_batch(
                "pragma cache_size = 10; create table t(x); \
                 with recursive n(i) as (select 1 union all select i + 1 from n limit 5000) \
                 insert into t select randomblob(1000) from n",
            )
            .unwrap();
        connection.execute_batch("pragma cache_size = 10").unwrap();
        let into = fixture.path("into.db").display().to_string();
        connection.execute("vacuum into ?1", [into]).unwrap();
        fixture.shell("sqlite3 app.db '.backup backup.db'");
        for copy in ["into.db", "backup.db"] {
            let script = format!("sqlite3 {copy} 'select count(*) from t; pragma integrity_check'");
            assert_eq!(fixture.shell(&script), "5000\nok\n");
        }
        assert_eq!(fixture.databases.names(), ["app.db", "backup.db", "into.db"]);
    }
}

#[test]
fn failed_write_reaches_the_program_and_later_ones_succeed() {
    let fixture = Fixture::new();
    let connection = fixture.connect("app.db");
    connection.execute_batch("pragma journal_mode = wal; create table t(x)").unwrap();
    let database = fixture.databases.get("app.db");
    for (errno, message) in [(Errno::ENOSPC, "database or disk is full"), (Errno::EIO, "disk I/O error")] {
        *database.fail_writes.lock().unwrap() = Some((File::Wal, errno));
        let error = connection.execute("insert into t values (1)", []).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        *database.fail_writes.lock().unwrap() = None;
    }
    connection.execute("insert into t values (2)", []).unwrap();
    drop(connection);
    assert_eq!(fixture.shell("sqlite3 app.db 'select x from t; pragma integrity_check'"), "2\nok\n");
}

/// Requests of each kind that `work` costs once everything is warm.
fn cost(fixture: &Fixture, mut work: impl FnMut()) -> Vec<(&'static str, u64)> {
    work();
    work();
    let before = fixture.mount.requests();
    work();
    let after = fixture.mount.requests();
    let spent = before.into_iter().zip(after).map(|((kind, before), (_, after))| (kind, after - before));
    spent.filter(|(kind, count)| *count > 0 && *kind != "Forget" && *kind != "Release").collect()
}

#[test]
fn hot_paths_cost_the_round_trips_they_must() {
    let fixture = Fixture::new();
    let wal = fixture.connect("wal.db");
    wal.execute_batch("pragma journal_mode = wal; create table t(x); insert into t values (1)").unwrap();
    drop(wal);
    let wal = fixture.connect("wal.db");
    wal.execute_batch("pragma synchronous = normal; insert into t values (1)").unwrap();
    let select = || wal.query_row("select x from t", [], |row| row.get::<_, i64>(0)).map(drop).unwrap();
    assert_eq!(cost(&fixture, select), [], "read in wal mode");
    let insert = || wal.execute_batch("insert into t values (2)").unwrap();
    let normal = cost(&fixture, insert);
    assert!(matches!(normal[..], [("Write", 2..=4)]), "commit, wal, normal: {normal:?}");
    wal.execute_batch("pragma synchronous = full").unwrap();
    let full = cost(&fixture, insert);
    assert!(matches!(full[..], [("Write", 2..=4), ("Fsync", 1)]), "commit, wal, full: {full:?}");

    let rollback = fixture.connect("rollback.db");
    rollback.execute_batch("create table t(x); insert into t values (1)").unwrap();
    let select = || rollback.query_row("select x from t", [], |row| row.get::<_, i64>(0)).map(drop).unwrap();
    assert_eq!(cost(&fixture, select), [], "read in rollback mode");
    let insert = || rollback.execute_batch("insert into t values (2)").unwrap();
    let delete = cost(&fixture, insert);
    let total: u64 = delete.iter().map(|(_, count)| count).sum();
    assert!(total <= 26, "commit, delete, full: {total} {delete:?}");
    eprintln!("wal normal {normal:?}\nwal full {full:?}\ndelete full {total} {delete:?}");
}
