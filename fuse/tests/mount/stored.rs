//! The mount over the real store: what programs commit is captured.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use litefs_core::database::Authority;
use litefs_core::log::Retention;
use litefs_core::{DatabaseName, NodeId, Position, Txid};
use litefs_fuse::store::{Store, StoreOptions};
use litefs_fuse::{DatabaseFiles, Options, OtherFiles, equip};

use crate::fixture::{Fixture, wait_until};
use crate::sqlite::{MODES, every_journal_mode_works};

fn primary(data_dir: &Path) -> Arc<Store> {
    let store = Store::open(&StoreOptions {
        data_dir: data_dir.to_owned(),
        node_id: NodeId::new(1),
        compress: true,
        retention: Retention { age_ms: None, size: None },
        retention_interval: None,
        strict_verify: true,
    })
    .unwrap();
    store.set_authority(Authority::Forever).unwrap();
    store.role().set(true, None);
    store
}

fn fixture(change: impl FnOnce(&mut Options)) -> Fixture<Store> {
    Fixture::over(primary, change)
}

fn position(fixture: &Fixture<Store>, name: &str) -> Position {
    fixture.databases.get(&DatabaseName::new(name).unwrap()).unwrap().position()
}

#[test]
fn every_journal_mode_is_captured() {
    for passthrough in [true, false] {
        let fixture = fixture(|options| options.passthrough = passthrough);
        every_journal_mode_works(&fixture);
        for mode in MODES {
            let name = format!("{}.db", mode.replace(' ', "-"));
            wait_until(&name, || position(&fixture, &name).txid >= Txid::new(4));
            let text = fs::read_to_string(fixture.path(&format!("{name}-pos"))).unwrap();
            assert_eq!(text, format!("{}\n", position(&fixture, &name)));
        }
    }
}

#[test]
fn copied_moved_and_removed_databases_are_captured() {
    for other_files in [OtherFiles::Refuse, OtherFiles::Local] {
        let fixture = fixture(|options| options.other_files = other_files);
        fixture.shell("sqlite3 ../source.db 'create table t(x); insert into t values (randomblob(300000))'");
        fixture.shell("cp ../source.db app.db && cmp ../source.db app.db");
        wait_until("the capture of the copy", || position(&fixture, "app.db").txid == Txid::new(1));
        fixture
            .shell("mv app.db new.db && sqlite3 new.db 'insert into t values (1); pragma integrity_check'");
        assert_eq!(position(&fixture, "new.db").txid, Txid::new(2));
        assert!(!fixture.path("app.db").exists());
        fixture.shell("sqlite3 new.db \"vacuum into 'into.db'\"; sqlite3 new.db '.backup backup.db'");
        for copy in ["into.db", "backup.db"] {
            wait_until(copy, || position(&fixture, copy).txid >= Txid::new(1));
            assert_eq!(fixture.shell(&format!("sqlite3 {copy} 'select count(*) from t'")), "2\n");
        }
        fixture.shell("rm new.db; sqlite3 new.db 'create table again(x)'");
        wait_until("the new database", || position(&fixture, "new.db").txid >= Txid::new(4));
        assert_eq!(fixture.shell("sqlite3 new.db .tables"), "again\n");
    }
}

#[test]
fn connections_that_come_and_go_and_change_the_mode_never_meet_an_error() {
    let fixture = fixture(|_| {});
    let script = format!(
        "import random, sqlite3, sys, time\n\
         random.seed(int(sys.argv[1]))\n\
         end = time.time() + 3\n\
         count = 0\n\
         while time.time() < end:\n\
         \x20   c = sqlite3.connect('{}', timeout=10, isolation_level=None)\n\
         \x20   for i in range(random.randrange(4)):\n\
         \x20       try:\n\
         \x20           if random.random() < 0.2:\n\
         \x20               c.execute('pragma journal_mode = ' + random.choice(['wal', 'delete', 'truncate']))\n\
         \x20           elif random.random() < 0.5:\n\
         \x20               c.execute('insert into t values (1)'); count += 1\n\
         \x20           else:\n\
         \x20               c.execute('select sum(x) from t').fetchone()\n\
         \x20       except sqlite3.OperationalError as error:\n\
         \x20           if 'locked' not in str(error): raise\n\
         \x20   c.close()\n\
         print(count)",
        fixture.path("app.db").display()
    );
    fixture.shell("sqlite3 app.db 'create table t(x)'");
    let start = |seed: usize| {
        let mut command = Command::new("python3");
        command.args(["-c", &script, &seed.to_string()]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let children: Vec<_> = (0..4).map(start).collect();
    let mut inserted = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        inserted += String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().unwrap();
    }
    let found = fixture.shell("sqlite3 app.db 'select count(*) from t; pragma integrity_check'");
    assert_eq!(found, format!("{inserted}\nok\n"));
    assert!(inserted > 0 && position(&fixture, "app.db").txid > Txid::new(inserted));
}

#[test]
fn removed_wal_leaves_what_was_only_there_in_the_file_that_programs_see() {
    for passthrough in [true, false] {
        let fixture = fixture(|options| options.passthrough = passthrough);
        fixture
            .shell("sqlite3 app.db 'pragma journal_mode=wal; create table t(x); insert into t values (1)'");
        let killed = fixture.try_shell(
            "python3 -c \"
import os, sqlite3
connection = sqlite3.connect('app.db')
connection.execute('insert into t values (zeroblob(50000))')
connection.commit()
os.kill(os.getpid(), 9)\"",
        );
        assert!(!killed.status.success());
        // The kernel has the file as it was before.
        fixture.shell("cat app.db >../before; rm app.db-wal; rm -f app.db-shm; ! cmp -s ../before app.db");
        let found = fixture.shell("sqlite3 app.db 'select count(*) from t; pragma integrity_check'");
        assert_eq!(found, "2\nok\n", "with passthrough: {passthrough}");
    }
}

#[test]
fn frame_of_a_large_wal_costs_two_requests() {
    let fixture = fixture(|_| {});
    equip(&fixture.databases, &fixture.mount);
    let writer = fixture.connect("app.db");
    writer
        .execute_batch("pragma journal_mode = wal; pragma wal_autocheckpoint = 0; create table t(x)")
        .unwrap();
    let requests_for = |pages: u32| {
        let before = fixture.requests("Write");
        writer.execute("insert into t values (randomblob(?1 * 4092))", [pages]).unwrap();
        fixture.requests("Write") - before
    };
    let small = requests_for(40);
    assert!(small > 110, "{small}: a header, and two parts of a page that lies across two of the kernel's");
    wait_until("the pages ahead of the writer", || (200..220).contains(&requests_for(100)));
    drop(writer);
    assert_eq!(fixture.shell("sqlite3 app.db 'pragma integrity_check'"), "ok\n");
    fixture.databases.unequip();
}
