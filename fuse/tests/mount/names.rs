//! What the kernel remembers about names and sizes is true, also when the daemon changes files by itself.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use litefs_core::database::Request;
use litefs_core::{DatabaseName, File};
use litefs_fuse::{DatabaseFiles, Databases};

use crate::fixture::Fixture;

fn make(fixture: &Fixture, name: &str) -> Arc<dyn DatabaseFiles> {
    fixture.databases.create(&DatabaseName::new(name).unwrap()).unwrap()
}

#[test]
fn missing_name_is_asked_for_once() {
    let fixture = Fixture::new();
    fixture.shell("sqlite3 app.db 'create table t(x)'");
    assert!(!fixture.path("app.db-journal").exists());
    let before = fixture.requests("Lookup");
    for _ in 0..100 {
        assert!(!fixture.path("app.db-journal").exists());
    }
    assert_eq!(fixture.requests("Lookup"), before);
}

#[test]
fn file_the_daemon_creates_appears_where_none_was() {
    let fixture = Fixture::new();
    for name in ["new.db", "new.db-wal", "new.db-pos"] {
        assert!(!fixture.path(name).exists());
    }
    let database = make(&fixture, "new.db");
    fixture.mount.notifier().created(&database, File::Database).unwrap();
    assert!(fixture.path("new.db").exists());
    assert!(fixture.path("new.db-pos").exists());
    assert!(!fixture.path("new.db-wal").exists());
    database.request(Request::Create(File::Wal)).unwrap();
    fixture.mount.notifier().created(&database, File::Wal).unwrap();
    assert!(fixture.path("new.db-wal").exists());
}

#[test]
fn file_the_daemon_removes_vanishes_and_its_successor_is_another_file() {
    let fixture = Fixture::new();
    let database = make(&fixture, "app.db");
    database.request(Request::Create(File::Wal)).unwrap();
    database.request(Request::Write { file: File::Wal, offset: 0, data: b"old" }).unwrap();
    let open = fs::File::open(fixture.path("app.db-wal")).unwrap();
    database.request(Request::Remove(File::Wal)).unwrap();
    fixture.mount.notifier().removed(&database, File::Wal).unwrap();
    assert!(!fixture.path("app.db-wal").exists());
    database.request(Request::Create(File::Wal)).unwrap();
    database.request(Request::Write { file: File::Wal, offset: 0, data: b"new" }).unwrap();
    fixture.mount.notifier().created(&database, File::Wal).unwrap();
    assert!(fixture.path("app.db-wal").exists());
    assert_eq!(fs::read(fixture.path("app.db-wal")).unwrap(), b"new");
    let mut buf = [0; 3];
    open.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(&buf, b"old", "who had it open keeps it");
}

#[test]
fn changed_content_and_length_are_seen_after_they_are_told() {
    let fixture = Fixture::new();
    let database = make(&fixture, "app.db");
    database.request(Request::Create(File::Wal)).unwrap();
    database.request(Request::Write { file: File::Wal, offset: 0, data: &[1; 8192] }).unwrap();
    let reader = fs::File::open(fixture.path("app.db-wal")).unwrap();
    let read = |offset| {
        let mut byte = [0];
        reader.read_exact_at(&mut byte, offset).unwrap();
        byte[0]
    };
    assert_eq!((read(0), read(5000), reader.metadata().unwrap().len()), (1, 1, 8192));
    database.request(Request::Write { file: File::Wal, offset: 0, data: &[2; 12288] }).unwrap();
    assert_eq!(read(0), 1, "the kernel answers from its cache");
    let notifier = fixture.mount.notifier();
    notifier.store(&database, File::Wal, 0, &[2; 4096]).unwrap();
    assert_eq!((read(0), read(5000)), (2, 1));
    notifier.invalidate(&database, File::Wal, 4096, 4096).unwrap();
    assert_eq!(read(5000), 2);
    notifier.invalidate_attributes(&database, File::Wal).unwrap();
    assert_eq!((reader.metadata().unwrap().len(), read(12287)), (12288, 2));
}

#[test]
fn open_descriptor_of_a_position_reads_what_was_true_when_it_was_opened() {
    let fixture = Fixture::new();
    fixture.shell("sqlite3 app.db 'create table t(x)'");
    let first = fs::read_to_string(fixture.path("app.db-pos")).unwrap();
    fixture.shell("sqlite3 app.db 'insert into t values (1)'");
    let second = fs::read_to_string(fixture.path("app.db-pos")).unwrap();
    assert_ne!(first, second, "no stale page is shown");
}
