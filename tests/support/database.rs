use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::FromSql;

use super::{Node, PATIENCE, wait_for};

/// The journal modes in which a transaction outlives its process.
pub(crate) const JOURNAL_MODES: [&str; 4] = ["delete", "truncate", "persist", "wal"];

/// Opens a database in the mount of a node, as any program does.
#[track_caller]
pub(crate) fn open(node: &Node, name: &str) -> Connection {
    let connection = Connection::open(node.path(name)).unwrap();
    connection.busy_timeout(Duration::from_secs(20)).unwrap();
    connection
}

/// Runs statements that must succeed.
#[track_caller]
pub(crate) fn run(connection: &Connection, sql: &str) {
    connection.execute_batch(sql).unwrap_or_else(|error| panic!("{error:?} for {sql}"));
}

/// The only value that a query has.
#[track_caller]
pub(crate) fn query<T: FromSql>(connection: &Connection, sql: &str) -> T {
    connection.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{error:?} for {sql}"))
}

/// Puts a database into a journal mode.
#[track_caller]
pub(crate) fn set_mode(connection: &Connection, mode: &str) {
    assert_eq!(query::<String>(connection, &format!("PRAGMA journal_mode={mode}")), mode);
}

/// Asserts that SQLite finds nothing wrong with a database.
#[track_caller]
pub(crate) fn integrity(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    assert_eq!(query::<String>(&connection, "PRAGMA integrity_check"), "ok", "{}", path.display());
}

/// Waits until a replica has everything that the primary had when this was called.
#[track_caller]
pub(crate) fn await_same_position(primary: &Node, replica: &Node, name: &str) {
    let wanted = primary.position(name).unwrap_or_else(|| panic!("the primary has no {name}"));
    let what = format!("{name} at {} on a replica", wanted.trim_end());
    wait_for(&what, || (replica.position(name)? == wanted).then_some(()));
}

/// Asserts that a replica gets everything the primary has, that both send the same file to the byte, that SQLite finds
/// nothing wrong with it on either, and that it is as long as SQLite on the primary says.
#[track_caller]
pub(crate) fn assert_replicated(primary: &Node, replica: &Node, name: &str) {
    await_same_position(primary, replica, name);
    let (ours, theirs) = (primary.export(name), replica.export(name));
    assert_same_bytes(&ours, &theirs);
    integrity(&primary.path(name));
    integrity(&replica.path(name));
    let connection = open(primary, name);
    let size = query::<u32>(&connection, "PRAGMA page_count") * query::<u32>(&connection, "PRAGMA page_size");
    assert_eq!(ours.len(), size as usize);
    assert_same_content(primary, replica, name);
}

/// Asserts that programs read the same on two nodes, through SQLite.
#[track_caller]
fn assert_same_content(primary: &Node, replica: &Node, name: &str) {
    let dump = |node: &Node| super::sqlite3_prints(&node.path(name), ".sha3sum --schema");
    assert_eq!(dump(primary), dump(replica), "the content of {name} differs");
}

/// Asserts that two files are the same, and says where they are not.
#[track_caller]
pub(crate) fn assert_same_bytes(ours: &[u8], theirs: &[u8]) {
    assert_eq!(ours.len(), theirs.len(), "the files have different lengths");
    let difference = ours.iter().zip(theirs).position(|(a, b)| a != b);
    assert_eq!(difference, None, "the files differ, first at this byte");
}
