use std::time::Instant;

use rusqlite::Connection;

use crate::bench::{Bench, Place, Side};
use crate::data::{Numbers, fill, open};
use crate::node::Node;
use crate::outcome::{Outcome, Target, Unit};
use crate::sample::Latencies;

/// Bytes of the table that is read from; SQLite's own cache is 2 MB.
const TABLE_LEN: u64 = 100_000_000;

const READS: u64 = 20_000;

pub(super) fn run(bench: &Bench) -> anyhow::Result<Vec<Outcome>> {
    let directory = bench.directory(Place::Disk)?;
    let node = Node::primary(directory.path())?;
    let bare = open(&directory.path().join("bare.db"), "wal", "normal")?;
    let mounted = open(&node.path("app.db"), "wal", "normal")?;
    let mut rows = 0;
    for connection in [&bare, &mounted] {
        rows = fill(connection, bench.count(TABLE_LEN, 100_000))?;
    }
    // Reopened as by a program that comes later. Now the WAL is empty, and SQLite asks for the length of the database
    // in each transaction.
    drop((bare, mounted));
    let bare = open(&directory.path().join("bare.db"), "wal", "normal")?;
    let mounted = open(&node.path("app.db"), "wal", "normal")?;
    let count = bench.count(READS, 100);
    let measure = |in_transaction: bool| {
        bench.interleave(1, |side| {
            let connection = if side == Side::Mount { &mounted } else { &bare };
            Ok(read_rows(connection, rows, count, in_transaction)?.percentile_us(50.0))
        })
    };
    let outcome = |what, pair: &_, least| {
        Outcome::compared(what, Place::Disk, Unit::Microseconds, pair).with_target(Target::Ratio(least))
    };
    let mut outcomes = vec![outcome("read alone, WAL empty", &measure(false)?, 0.9)];
    for connection in [&bare, &mounted] {
        // SQLite does not write a page that stays the same.
        connection.execute("UPDATE item SET content = zeroblob(1000) WHERE id = 0", ())?;
    }
    outcomes.push(outcome("read alone", &measure(false)?, 0.9));
    outcomes.push(outcome("read in a transaction", &measure(true)?, 0.9));
    for connection in [&bare, &mounted] {
        connection.query_row("PRAGMA mmap_size = 2147418112", (), |_| Ok(()))?;
    }
    outcomes.push(outcome("read by mmap", &measure(true)?, 0.95));
    Ok(outcomes)
}

/// Reads so many rows by chance, and says how long each took.
fn read_rows(
    connection: &Connection,
    rows: u64,
    count: u64,
    in_transaction: bool,
) -> anyhow::Result<Latencies> {
    let mut read = connection.prepare_cached("SELECT length(content) FROM item WHERE id = ?1")?;
    let mut latencies = Latencies::default();
    let mut numbers = Numbers::new();
    let (begin, end) = if in_transaction { ("BEGIN", "COMMIT") } else { ("", "") };
    connection.execute_batch(begin)?;
    for _ in 0..count {
        let id = numbers.below(rows).cast_signed();
        let started = Instant::now();
        read.query_row([id], |row| row.get::<_, i64>(0))?;
        latencies.push(started.elapsed());
    }
    connection.execute_batch(end)?;
    Ok(latencies)
}
