//! What people do with database files, and what they try with others.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::process::Command;
use std::sync::atomic::Ordering;

use litefs_core::File;
use litefs_fuse::{DatabaseFiles, Databases};

use crate::fixture::{Fixture, wait_until};

fn app(fixture: &Fixture) {
    fixture.shell("sqlite3 app.db 'create table t(x); insert into t values (1)'");
}

#[test]
fn copied_database_is_a_database_and_its_end_is_told() {
    for fixture in [Fixture::new(), Fixture::local()] {
        fixture.shell("sqlite3 ../source.db 'create table t(x); insert into t values (randomblob(300000))'");
        fixture.shell("cp ../source.db copy.db && cmp ../source.db copy.db");
        assert_eq!(fixture.databases.names(), ["copy.db"]);
        wait_until("the last close", || fixture.databases.get("copy.db").closes.load(Ordering::SeqCst) >= 2);
        assert_eq!(fixture.shell("sqlite3 copy.db 'pragma integrity_check'"), "ok\n");
        fixture.shell(
            "sqlite3 ../other.db 'create table u(x)' && cp ../other.db copy.db && cmp ../other.db copy.db",
        );
        assert_eq!(fixture.shell("sqlite3 copy.db .tables"), "u\n");
    }
}

#[test]
fn moved_database_keeps_its_content_and_replaces_the_one_there() {
    for fixture in [Fixture::new(), Fixture::local()] {
        app(&fixture);
        fixture.shell("mv app.db new.db && sqlite3 new.db 'insert into t values (2)'");
        assert_eq!(fixture.databases.names(), ["new.db"]);
        fixture.shell("sqlite3 third.db 'create table other(x)' && mv new.db third.db");
        assert_eq!(fixture.shell("sqlite3 third.db 'select x from t'"), "1\n2\n");
        assert_eq!(fixture.databases.names(), ["third.db"]);
        app(&fixture);
        let exists =
            fixture.try_shell("mv -n app.db third.db; test -e app.db && sqlite3 third.db 'select x from t'");
        assert_eq!(String::from_utf8(exists.stdout).unwrap(), "1\n2\n", "-n replaces nothing");
        fixture.shell("mv app.db ../outside.db && sqlite3 ../outside.db 'select x from t'");
        fixture.shell("mv ../outside.db back.db && sqlite3 back.db 'select x from t'");
        assert_eq!(fixture.databases.names(), ["back.db", "third.db"]);
    }
}

#[test]
fn removed_database_is_gone_with_its_sidecars_and_a_new_one_is_another_file() {
    for fixture in [Fixture::new(), Fixture::local()] {
        let connection = fixture.connect("app.db");
        connection
            .execute_batch("pragma journal_mode = wal; create table t(x); insert into t values (1)")
            .unwrap();
        let before = fs::metadata(fixture.path("app.db")).unwrap().ino();
        fs::remove_file(fixture.path("app.db")).unwrap();
        for name in ["app.db", "app.db-wal", "app.db-shm"] {
            wait_until(name, || !fixture.path(name).exists());
        }
        assert_eq!(
            connection.query_row("select x from t", [], |row| row.get::<_, i64>(0)),
            Ok(1),
            "still readable"
        );
        assert!(connection.execute("insert into t values (2)", []).is_err(), "but it would be lost");
        fixture.shell("sqlite3 app.db 'create table u(x)'");
        assert_ne!(fs::metadata(fixture.path("app.db")).unwrap().ino(), before);
        assert!(connection.execute("insert into t values (2)", []).is_err());
        drop(connection);
        assert_eq!(fixture.shell("sqlite3 app.db .tables"), "u\n");
    }
}

#[test]
fn mode_and_owner_are_kept_and_enforced() {
    let fixture = Fixture::new();
    app(&fixture);
    fixture.shell("chmod 600 app.db && chown 1:1 app.db");
    let metadata = fs::metadata(fixture.path("app.db")).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.uid(), metadata.gid()), (0o600, 1, 1));
    let backing = fs::metadata(fixture.databases.get("app.db").path(File::Database)).unwrap();
    assert_eq!((backing.mode() & 0o777, backing.uid()), (0o600, 1), "it outlives the mount");
    let as_user = |user: u32, script: &str| {
        let mut command = Command::new("setpriv");
        let id = user.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "bash", "-c", script]);
        command.current_dir(fixture.mount.path()).output().unwrap()
    };
    assert!(!as_user(2, "cat app.db").status.success(), "another user may not read it");
    let output = as_user(1, "sqlite3 app.db 'insert into t values (2); select count(*) from t'");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2\n", "{output:?}");
    let output = as_user(2, "umask 027; sqlite3 own.db 'create table t(x)'; stat -c '%a %u %g' own.db");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "640 2 2\n", "{output:?}");
    fixture.shell("touch -d '2020-02-03 04:05:06.5Z' app.db");
    let modified = fs::metadata(fixture.path("app.db")).unwrap();
    assert_eq!((modified.mtime(), modified.mtime_nsec()), (1_580_702_706, 500_000_000));
}

#[test]
fn foreign_file_is_refused_and_leaves_nothing() {
    let fixture = Fixture::new();
    for (script, message) in [
        ("echo hello > notes.txt", "Operation not permitted"),
        ("cp /etc/passwd users", "Operation not permitted"),
        ("mkdir dir", "Operation not permitted"),
        ("ln -s a b", "Operation not permitted"),
        ("mkfifo fifo", "Operation not permitted"),
        ("touch x-pos", "Permission denied"),
        ("touch x-lock", "Permission denied"),
        ("touch .primary", "Permission denied"),
        ("touch x-wal", "No such file or directory"),
        ("rm .lag", "Operation not permitted"),
        ("touch $(printf 'x%.0s' {1..300})", "File name too long"),
        ("printf x > $'\\xff'", "Operation not permitted"),
    ] {
        let output = fixture.try_shell(script);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(message), "{script}: {errors}");
    }
    wait_until("the removal of what was refused", || fixture.databases.names().is_empty());
    wait_until("the kernel to know", || !fixture.path("notes.txt").exists());
    app(&fixture);
    assert_eq!(fixture.shell("sqlite3 app.db 'select x from t'"), "1\n", "databases can still be created");
    let output = fixture.try_shell("ln app.db hard");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Operation not permitted"));
}

#[test]
fn temporary_file_without_a_name_is_no_database() {
    let fixture = Fixture::new();
    let script = "import os\nf = os.open('temp', os.O_CREAT | os.O_RDWR)\nos.unlink('temp')\n\
                  os.write(f, b'anything')\nprint(os.pread(f, 100, 0))";
    assert_eq!(fixture.shell(&format!("python3 -c \"{script}\"")), "b'anything'\n");
    assert!(fixture.databases.names().is_empty());
}

#[test]
fn empty_database_is_hidden_until_it_has_pages() {
    let fixture = Fixture::new();
    fixture.shell("touch app.db; test -e app.db");
    assert_eq!(fixture.shell("ls -A"), ".lag\n");
    app(&fixture);
    assert_eq!(fixture.shell("ls -A"), ".lag\napp.db\napp.db-pos\n");
    let connection = fixture.connect("app.db");
    connection.execute_batch("pragma journal_mode = wal; insert into t values (1)").unwrap();
    assert_eq!(fixture.shell("ls -AU"), ".lag\napp.db\napp.db-pos\napp.db-shm\napp.db-wal\n");
    assert!(fixture.shell("ls -la").contains(" app.db-wal"));
}

#[test]
fn position_and_lag_are_read_as_litefs_writes_them() {
    let fixture = Fixture::new();
    app(&fixture);
    let pos = fs::File::open(fixture.path("app.db-pos")).unwrap();
    let transactions = fixture.databases.get("app.db").transactions.load(Ordering::SeqCst);
    assert_eq!(fixture.shell("cat app.db-pos"), format!("{transactions:016x}/8000000000000000\n"));
    assert_eq!(pos.metadata().unwrap().len(), 34);
    app_again(&fixture);
    assert_eq!(fixture.shell("cat app.db-pos"), format!("{:016x}/8000000000000000\n", transactions + 1));
    assert_eq!(fixture.shell("cat .lag"), "+000000000\n");
    assert_eq!(fs::metadata(fixture.path(".lag")).unwrap().len(), 11);
    assert!(!fixture.try_shell("echo x > app.db-pos").status.success());
    let lock = fs::File::options().write(true).open(fixture.path("app.db-lock")).unwrap();
    assert_eq!(lock.write_at(b"x", 0).unwrap_err().raw_os_error(), Some(5));
}

fn app_again(fixture: &Fixture) {
    fixture.shell("sqlite3 app.db 'insert into t values (1)'");
}

#[test]
fn replica_shows_the_modes_of_litefs_and_can_be_read_by_anybody() {
    let fixture = Fixture::new();
    fixture.shell("sqlite3 app.db 'pragma journal_mode = wal; create table t(x); insert into t values (1)'");
    fixture.shell("chmod 666 app.db");
    assert!(!fixture.path(".primary").exists());
    let mode = |name: &str| fs::metadata(fixture.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("app.db")), (0o777, 0o666));
    fixture.databases.is_replica.store(true, Ordering::SeqCst);
    fixture.mount.notifier().role_changed(&fixture.databases.databases());
    wait_until("the change of role", || mode("app.db") == 0o444);
    assert_eq!(mode(""), 0o555);
    assert_eq!(fixture.shell("cat .primary .lag"), "node-1\n+000001234\n");
    assert!(fixture.shell("ls -A").starts_with(".lag\n.primary\napp.db\n"));
    let script = "sqlite3 app.db 'select x from t'; sqlite3 app.db 'insert into t values (2)'";
    let output = Command::new("setpriv")
        .args(["--reuid", "1", "--regid", "1", "--clear-groups", "bash", "-c", script])
        .current_dir(fixture.mount.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n", "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("readonly database"), "{output:?}");
    assert_eq!(mode("app.db-shm"), 0o666, "it can be written to after a promotion");
    let halt = fs::File::options().write(true).open(fixture.path("app.db-lock"));
    assert_eq!(halt.unwrap_err().raw_os_error(), Some(5));
    fixture.databases.is_replica.store(false, Ordering::SeqCst);
    fixture.mount.notifier().role_changed(&fixture.databases.databases());
    wait_until("the change of role", || mode("app.db") == 0o666);
    assert!(!fixture.path(".primary").exists());
}

#[test]
fn database_cannot_become_a_journal() {
    for (fixture, expected) in [(Fixture::new(), 1), (Fixture::local(), 18)] {
        app(&fixture);
        for (from, to) in [("app.db", "app.db-journal"), ("app.db-journal", "x")] {
            fs::write(fixture.path("app.db-journal"), b"").unwrap();
            let error = fs::rename(fixture.path(from), fixture.path(to)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(expected));
        }
    }
}

#[test]
fn rename_flags_that_mean_nothing_for_databases_are_refused() {
    let fixture = Fixture::new();
    app(&fixture);
    fixture.shell("sqlite3 b.db 'create table t(x)'");
    let dir = fs::File::open(fixture.mount.path()).unwrap();
    let flags = rustix::fs::RenameFlags::EXCHANGE;
    let result = rustix::fs::renameat_with(&dir, "app.db", &dir, "b.db", flags);
    assert_eq!(result, Err(rustix::io::Errno::INVAL));
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    let result = rustix::fs::renameat_with(&dir, "app.db", &dir, "b.db", flags);
    assert_eq!(result, Err(rustix::io::Errno::EXIST));
}

#[test]
fn sync_and_statfs_reach_the_disk() {
    let fixture = Fixture::new();
    app(&fixture);
    let database = fixture.databases.get("app.db");
    let before = database.syncs.load(Ordering::SeqCst);
    fs::File::open(fixture.path("app.db")).unwrap().sync_all().unwrap();
    assert_eq!(database.syncs.load(Ordering::SeqCst), before + 1);
    let mount = rustix::fs::statvfs(fixture.mount.path()).unwrap();
    let disk = rustix::fs::statvfs(fixture.databases.local_dir()).unwrap();
    assert_eq!((mount.f_blocks, mount.f_files, mount.f_bsize), (disk.f_blocks, disk.f_files, disk.f_bsize));
    assert!(mount.f_bavail > 0);
    assert!(database.len(File::Database).unwrap().is_some());
}
