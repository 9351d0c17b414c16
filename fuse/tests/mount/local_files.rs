//! With `other-files: local` the mount is an ordinary directory too.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::fixture::Fixture;

#[test]
fn ordinary_programs_find_an_ordinary_directory() {
    let fixture = Fixture::local();
    let printed = fixture.shell(
        "mkdir -p a/b/c; echo one > a/b/c/file; cat a/b/c/file\n\
         ln -s b/c/file a/link; cat a/link; readlink a/link\n\
         ln a/b/c/file a/hard; stat -c %h a/hard; echo two >> a/hard; cat a/b/c/file\n\
         rm a/b/c/file; cat a/hard; stat -c %h a/hard\n\
         mv a/b moved; test -d moved/c; rmdir moved/c; ls a\n\
         truncate -s 100 moved/sparse; stat -c %s moved/sparse; truncate -s 0 moved/sparse\n\
         mkfifo pipe; (echo through > pipe &); cat pipe\n\
         echo x > note; mv note moved/note; mv moved/note note2; cat note2\n\
         fallocate -l 8192 space; stat -c %s space\n\
         python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.bind(\"sock\"); print(\"bound\")'\n\
         find . -not -name '.lag' | sort | tr '\\n' ' '",
    );
    assert_eq!(
        printed,
        "one\none\nb/c/file\n2\none\ntwo\none\ntwo\n1\nhard\nlink\n100\nthrough\nx\n8192\nbound\n\
         . ./a ./a/hard ./a/link ./moved ./moved/sparse ./note2 ./pipe ./sock ./space "
    );
    assert_eq!(fixture.databases.names(), [""; 0]);
}

#[test]
fn removed_directory_must_be_empty_and_errors_are_those_of_a_disk() {
    let fixture = Fixture::local();
    fixture.shell("mkdir d; touch d/f; ln -s nowhere dangling");
    for (script, message) in [
        ("rmdir d", "Directory not empty"),
        ("mkdir d", "File exists"),
        ("cat missing", "No such file or directory"),
        ("cat dangling", "No such file or directory"),
        ("rm d", "Is a directory"),
        ("mv d d/below", "subdirectory of itself"),
        ("mknod dev c 1 3", "Operation not permitted"),
        ("ls d/f/x", "Not a directory"),
    ] {
        let output = fixture.try_shell(script);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(message), "{script}: {errors}");
    }
}

#[test]
fn open_file_outlives_its_name() {
    let fixture = Fixture::local();
    let script = "import os\nf = os.open('f', os.O_CREAT | os.O_RDWR)\nos.write(f, b'abc')\nos.unlink('f')\n\
                  os.write(f, b'def')\nos.ftruncate(f, 5)\nos.fchmod(f, 0o640)\nos.fsync(f)\n\
                  s = os.fstat(f)\nprint(os.pread(f, 100, 0), s.st_nlink, oct(s.st_mode & 0o777), os.path.exists('f'))";
    assert_eq!(fixture.shell(&format!("python3 -c \"{script}\"")), "b'abcde' 0 0o640 False\n");
}

#[test]
fn first_write_decides_between_database_and_local_file() {
    let fixture = Fixture::local();
    fixture.shell("touch empty; echo hello > notes.txt; sqlite3 ../source.db 'create table t(x)'");
    assert_eq!(fixture.databases.names(), [""; 0]);
    let inode = fs::metadata(fixture.path("empty")).unwrap().ino();
    fixture.shell("sqlite3 empty 'create table t(x)'; cat ../source.db > notes.txt");
    assert_eq!(fixture.databases.names(), ["empty", "notes.txt"]);
    assert_eq!(fs::metadata(fixture.path("empty")).unwrap().ino(), inode, "the kernel keeps its locks by it");
    fixture.shell(
        "cmp ../source.db notes.txt; mkdir sub; sqlite3 sub/app.db 'create table t(x)'; ls ../data/local/sub",
    );
    assert_eq!(fixture.databases.names(), ["empty", "notes.txt"], "databases are in the root alone");
}

#[test]
fn handles_opened_before_the_decision_go_on_with_the_database() {
    let fixture = Fixture::local();
    let script = "import os, sqlite3\n\
                  early = os.open('app.db', os.O_CREAT | os.O_RDWR)\n\
                  a, b = sqlite3.connect('app.db'), sqlite3.connect('app.db')\n\
                  b.execute('pragma user_version').fetchone()\n\
                  a.execute('create table t(x)'); a.execute('insert into t values (7)'); a.commit()\n\
                  print(b.execute('select x from t').fetchone()[0], os.pread(early, 15, 0).decode())";
    assert_eq!(fixture.shell(&format!("python3 -c \"{script}\"")), "7 SQLite format 3\n");
    assert_eq!(fixture.databases.names(), ["app.db"]);
}

#[test]
fn wal_copied_before_its_database_is_found_beside_it() {
    let fixture = Fixture::local();
    fixture.shell(
        "sqlite3 ../source.db 'pragma journal_mode = wal; create table t(x)'\n\
         python3 -c \"import os, sqlite3; c = sqlite3.connect('../source.db', isolation_level=None); \
         c.execute('insert into t values (5)'); \
         os.system('cp ../source.db-wal copy.db-wal; cp ../source.db copy.db')\"",
    );
    assert_eq!(fixture.shell("sqlite3 copy.db 'select x from t'"), "5\n");
    assert_eq!(fixture.databases.names(), ["copy.db"]);
    assert_eq!(fixture.shell("ls ../data/local"), "");
}

#[test]
fn journal_of_a_live_database_can_be_read_and_copied() {
    let fixture = Fixture::local();
    let script = "import os, shutil, sqlite3\n\
                  c = sqlite3.connect('app.db', isolation_level=None)\n\
                  c.execute('create table t(x)'); c.execute('insert into t values (1)')\n\
                  c.execute('pragma cache_size = 2'); c.execute('begin')\n\
                  for i in range(50): c.execute('insert into t values (randomblob(2000))')\n\
                  for s in ('', '-journal'): shutil.copyfile('app.db' + s, 'copy.db' + s)\n\
                  c.execute('rollback')\n\
                  print(sqlite3.connect('copy.db').execute('select count(*) from t').fetchone()[0])";
    assert_eq!(fixture.shell(&format!("python3 -c \"{script}\"")), "1\n", "the copy is rolled back");
}

#[test]
fn database_can_hold_garbage_and_a_local_file_cannot_replace_it() {
    let fixture = Fixture::local();
    fixture.shell(
        "sqlite3 app.db 'create table t(x)'; printf garbage | dd of=app.db bs=1 seek=50 conv=notrunc 2>&1",
    );
    assert_eq!(fixture.shell("head -c 57 app.db | tail -c 7"), "garbage");
    let output = fixture.try_shell("echo hello > new; mv new app.db");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Operation not permitted"), "{output:?}");
    fixture.shell("rm app.db; mv new app.db; cat app.db");
    assert_eq!(fixture.databases.names(), [""; 0]);
}

#[test]
fn database_moved_into_a_directory_and_back_is_copied() {
    let fixture = Fixture::local();
    fixture.shell("sqlite3 app.db 'create table t(x); insert into t values (3)'; mkdir d; mv app.db d/");
    assert_eq!(fixture.databases.names(), [""; 0]);
    assert_eq!(fixture.shell("sqlite3 d/app.db 'select x from t'"), "3\n");
    fixture.shell("mv d/app.db . && rmdir d");
    assert_eq!(fixture.databases.names(), ["app.db"]);
    assert_eq!(fixture.shell("sqlite3 app.db 'select x from t'"), "3\n");
}

#[test]
fn listing_of_an_ordinary_directory_has_no_positions() {
    let fixture = Fixture::local();
    fixture.shell("sqlite3 app.db 'create table t(x)'; echo x > note; touch empty");
    assert_eq!(fixture.shell("ls; cat app.db-pos | wc -c; rm *; ls | wc -l"), "app.db\nempty\nnote\n34\n0\n");
}
