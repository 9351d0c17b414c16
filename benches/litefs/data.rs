use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rusqlite::Connection;

/// Bytes of a row where a workload needs a database of some size.
pub(crate) const ROW_LEN: u64 = 1000;

/// Rows that are inserted in one transaction where a database is made.
const BATCH: u64 = 20_000;

/// Opens a database in a journal mode, with `synchronous` set.
pub(crate) fn open(path: &Path, journal_mode: &str, synchronous: &str) -> anyhow::Result<Connection> {
    let connection = Connection::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    connection.busy_timeout(Duration::from_secs(20))?;
    let sql = format!("PRAGMA journal_mode={journal_mode}; PRAGMA synchronous={synchronous}");
    connection.execute_batch(&sql).with_context(|| format!("cannot use {}", path.display()))?;
    Ok(connection)
}

/// Makes a table and fills it with so many bytes. Returns how many rows that is.
pub(crate) fn fill(connection: &Connection, bytes: u64) -> anyhow::Result<u64> {
    connection.execute_batch("CREATE TABLE item (id INTEGER PRIMARY KEY, content BLOB NOT NULL)")?;
    let rows = (bytes / ROW_LEN).max(1);
    let mut insert = connection.prepare("INSERT INTO item VALUES (?1, ?2)")?;
    let mut numbers = Numbers::new();
    let mut row = vec![0; ROW_LEN as usize];
    for first in (0..rows).step_by(BATCH as usize) {
        connection.execute_batch("BEGIN")?;
        for id in first..rows.min(first + BATCH) {
            numbers.fill(&mut row);
            insert.execute((id.cast_signed(), &row))?;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(rows)
}

/// Numbers that look random, the same in every run (xorshift64*).
#[derive(Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Content of which about a half can be compressed away, like that of many databases.
    pub(crate) fn fill(&mut self, row: &mut [u8]) {
        for (at, chunk) in row.chunks_mut(8).enumerate() {
            let bytes = if at % 2 == 0 { self.next().to_le_bytes() } else { *b"content " };
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}
