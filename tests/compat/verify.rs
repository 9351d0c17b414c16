//! `litefs verify` of data directories.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::left::{ALL, Left, recorded};

/// What the command prints, with this path left out, and its exit code.
fn verify(path: &Path) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_litefs")).arg("verify").arg(path).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (text.replace(path.to_str().unwrap(), "PATH"), output.status.code().unwrap())
}

#[test]
fn databases_that_litefs_left_have_their_transactions_checked() {
    let left = Left::new(&["rollback", "wal"]);
    let mut content = fs::read(left.ltx("wal", 2)).unwrap();
    content[150] ^= 1;
    fs::write(left.ltx("wal", 2), content).unwrap();
    let (text, code) = verify(left.path());
    let lines: Vec<&str> = text.lines().collect();
    let left_by_litefs =
        "kept by LiteFS in 3 LTX files; it is checked against them when a node takes it over";
    assert_eq!(lines[0], format!("rollback: ok, {left_by_litefs}"));
    assert!(lines[1].starts_with("wal: damaged, kept by LiteFS in 4 LTX files"), "{text}");
    let damage = "  PATH/dbs/wal/ltx/0000000000000002-0000000000000002.ltx: at byte ";
    assert!(lines[2].starts_with(damage), "{text}");
    assert_eq!((lines.len(), code), (3, 1));
}

#[test]
fn databases_that_were_taken_over_are_whole() {
    let left = Left::new(&ALL.map(|(name, ..)| name));
    left.open().unwrap();
    let (text, code) = verify(left.path());
    insta::assert_snapshot!(text, @r"
    dropped: ok, dropped by transaction 0000000000000002, log from 0000000000000001 (2 LTX files, 591 bytes)
    hole: ok, 9 pages at 0000000000000003/d2632409fce18584, log from 0000000000000001 (3 LTX files, 1208 bytes)
    hollow: ok, 2 pages at 0000000000000004/9fe9a76fd97f12f1, no transactions kept
    journal: ok, 22 pages at 0000000000000002/cb346f9851eb1dff, log from 0000000000000001 (2 LTX files, 1110 bytes)
    rollback: ok, 2 pages at 0000000000000003/87e94259e8b6af9b, log from 0000000000000001 (3 LTX files, 1114 bytes)
    wal: ok, 2 pages at 0000000000000004/801a6d5665484bf9, log from 0000000000000001 (4 LTX files, 1181 bytes)
    ");
    assert_eq!(code, 0);
    let (single, code) = verify(&left.database_dir("wal"));
    assert_eq!(
        (single.as_str(), code),
        (text.lines().last().map(|line| format!("{line}\n")).unwrap().as_str(), 0)
    );
}

#[test]
fn directory_that_a_node_uses_is_said_to_be_in_use() {
    let left = Left::new(&["rollback"]);
    let store = left.open().unwrap();
    let (text, code) = verify(left.path());
    assert!(
        text.starts_with("a litefs is running on PATH; what is in its memory is not checked\n"),
        "{text}"
    );
    assert_eq!(code, 0);
    drop(store);
    assert!(!verify(left.path()).0.contains("running"));
}

#[test]
fn damaged_page_and_damaged_transaction_are_told_with_what_to_do() {
    let left = Left::new(&["rollback", "wal"]);
    left.open().unwrap();
    let flip = |path: &Path, at: usize| {
        let mut content = fs::read(path).unwrap();
        content[at] ^= 1;
        fs::write(path, content).unwrap();
    };
    flip(&left.database_dir("rollback").join("database"), 700);
    flip(&left.database_dir("wal").join("log/0000000000000001.seg"), 300);
    let (text, code) = verify(left.path());
    assert_eq!(code, 1);
    insta::assert_snapshot!(text, @r"
    rollback: damaged, 2 pages at 0000000000000003/87e94259e8b6af9b, log from 0000000000000001 (3 LTX files, 1114 bytes)
      page 2 of the database file has checksum e48fec5c917bdcb7, it should be ee709cc21410acdc: the file was damaged or changed from outside; restore it from a replica or a backup
    wal: damaged, 2 pages at 0000000000000004/801a6d5665484bf9, log from 0000000000000001 (4 LTX files, 1181 bytes)
      transaction 0000000000000001 in the log is damaged: at byte 196 of the LTX file: file checksum a506da58b17c4f55, the content gives a406da58b17c4f55; a replica has it, or a backup
    ");
}

#[test]
fn other_directories_and_foreign_entries_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let (text, code) = verify(directory.path());
    assert_eq!((text.as_str(), code), ("ERROR: PATH is not a data directory: it has no directory dbs\n", 1));
    fs::create_dir(directory.path().join("dbs")).unwrap();
    assert_eq!(verify(directory.path()), ("no databases\n".to_owned(), 0));
    fs::write(directory.path().join("dbs/notes"), b"").unwrap();
    fs::write(directory.path().join("clusterid"), b"LFSC12").unwrap();
    let (text, code) = verify(directory.path());
    assert_eq!(code, 1);
    insta::assert_snapshot!(text, @r"
    PATH/clusterid: damaged: invalid cluster id: 6 bytes, expected 20; write the id of the cluster's other nodes to it
    notes: not a database directory; move it out of the data directory
    ");
}

#[test]
fn nothing_is_changed_by_looking() {
    let left = Left::new(&["journal"]);
    verify(left.path());
    for file in ["database", "journal"] {
        let (found, expected) = (left.database_dir("journal").join(file), recorded("journal").join(file));
        assert!(fs::read(found).unwrap() == fs::read(expected).unwrap(), "{file}");
    }
    assert_eq!(fs::read_dir(left.path()).unwrap().count(), 1);
}
