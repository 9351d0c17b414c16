use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;

use crate::bench::{Bench, Side};
use crate::data::open;
use crate::node::Node;
use crate::outcome::{Outcome, Target, Unit};

pub(super) fn run(bench: &Bench) -> anyhow::Result<Vec<Outcome>> {
    let rows = bench.count(1_000_000, 1000);
    let mut outcomes = Vec::new();
    for place in bench.places() {
        let directory = bench.directory(place)?;
        let node = Node::primary(directory.path())?;
        for journal_mode in ["wal", "delete"] {
            let pair = bench.interleave(0, |side| {
                let path =
                    if side == Side::Mount { node.path("app.db") } else { directory.path().join("bare.db") };
                measure(&path, journal_mode, rows)
            })?;
            let what = format!("bulk insert {}", journal_mode.to_uppercase());
            outcomes.push(
                Outcome::compared(what, place, Unit::Milliseconds, &pair).with_target(Target::Ratio(0.4)),
            );
        }
    }
    Ok(outcomes)
}

/// Milliseconds that it takes to insert so many rows into a new database.
fn measure(path: &Path, journal_mode: &str, rows: u64) -> anyhow::Result<f64> {
    let connection = open(path, journal_mode, "normal")?;
    connection.execute_batch("CREATE TABLE item (id INTEGER PRIMARY KEY, number INTEGER, name TEXT)")?;
    let started = Instant::now();
    insert(&connection, rows)?;
    let elapsed = started.elapsed();
    drop(connection);
    std::fs::remove_file(path)?;
    Ok(elapsed.as_secs_f64() * 1000.0)
}

fn insert(connection: &Connection, rows: u64) -> anyhow::Result<()> {
    connection.execute_batch("BEGIN")?;
    let mut insert = connection.prepare("INSERT INTO item (number, name) VALUES (?1, ?2)")?;
    for number in 0..rows {
        insert.execute((number.cast_signed(), "the name of an item in a table"))?;
    }
    Ok(connection.execute_batch("COMMIT")?)
}
