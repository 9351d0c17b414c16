use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use litefs_core::log::Retention;
use litefs_core::{DatabaseName, NodeId, Position};
use litefs_fuse::store::{Database, Store, StoreError, StoreOptions};
use rusqlite::Connection;
use tempfile::TempDir;

/// The databases that LiteFS left, where it said they were, what there is to ask them, and the answer.
pub(super) const ALL: [(&str, &str, &str, &str); 6] = [
    ("rollback", "0000000000000003/87e94259e8b6af9b", "select group_concat(x) from t", "one,two"),
    ("wal", "0000000000000004/801a6d5665484bf9", "select group_concat(x) from t", "one,two"),
    ("journal", "0000000000000002/cb346f9851eb1dff", "select count(*) || max(length(x)) from t", "20300"),
    ("hole", "0000000000000003/d2632409fce18584", "select group_concat(x) from c", "kept"),
    ("hollow", "0000000000000004/9fe9a76fd97f12f1", "select group_concat(x) from t", "one"),
    ("dropped", "0000000000000002/8000000000000000", "", ""),
];

/// A data directory with databases that LiteFS left.
#[derive(Debug)]
pub(super) struct Left(TempDir);

impl Left {
    pub(super) fn new(names: &[&str]) -> Self {
        let left = Self(tempfile::tempdir().unwrap());
        for name in names {
            copy(&recorded(name), &left.database_dir(name));
        }
        left
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn database_dir(&self, name: &str) -> PathBuf {
        self.path().join("dbs").join(name)
    }

    /// An LTX file of a database, as LiteFS left it.
    pub(super) fn ltx(&self, name: &str, txid: u64) -> PathBuf {
        self.database_dir(name).join(format!("ltx/{txid:016x}-{txid:016x}.ltx"))
    }

    pub(super) fn open(&self) -> Result<Arc<Store>, StoreError> {
        Store::open(&StoreOptions {
            data_dir: self.path().to_owned(),
            node_id: NodeId::new(7),
            compress: false,
            retention: Retention { age_ms: None, size: None },
            retention_interval: None,
            strict_verify: false,
        })
    }
}

/// What was recorded.
pub(super) fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/recorded").join(name)
}

/// Copies a directory with all there is in it.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

pub(super) fn database(store: &Store, name: &str) -> Arc<Database> {
    store.get(&name.parse::<DatabaseName>().unwrap()).unwrap()
}

pub(super) fn position(store: &Store, name: &str) -> Position {
    database(store, name).facts().position
}

/// Asks the database as it is in the store, which must be in order.
#[track_caller]
pub(super) fn ask(store: &Store, name: &str, sql: &str) -> String {
    let copy = tempfile::NamedTempFile::new().unwrap();
    let mut image = database(store, name).export().unwrap();
    io::copy(&mut image, &mut copy.as_file()).unwrap();
    let connection = Connection::open(copy.path()).unwrap();
    let integrity: String = connection.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Checks that all databases are what LiteFS said they are.
#[track_caller]
pub(super) fn assert_whole(store: &Store, context: &str) {
    for (name, expected, sql, answer) in ALL {
        assert_eq!(position(store, name).to_string(), expected, "{name} {context}");
        if !sql.is_empty() {
            assert_eq!(ask(store, name, sql), answer, "{name} {context}");
        }
    }
}

/// The bytes of a transaction that the store can send to a peer.
pub(super) fn transaction(store: &Store, name: &str, txid: u64) -> Option<Vec<u8>> {
    let range = database(store, name).transaction(litefs_core::Txid::new(txid)).unwrap()?;
    let mut bytes = vec![0; range.len as usize];
    std::os::unix::fs::FileExt::read_exact_at(&*range.file, &mut bytes, range.offset).unwrap();
    Some(bytes)
}

/// The whole database as it is sent to a peer.
pub(super) fn snapshot(store: &Store, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = database(store, name).snapshot(false, NodeId::new(7)).unwrap();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}
