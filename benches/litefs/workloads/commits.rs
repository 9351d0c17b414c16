use std::time::Instant;

use rusqlite::Connection;

use crate::bench::{Bench, Place, Side};
use crate::data::open;
use crate::node::Node;
use crate::outcome::{Outcome, Target, Unit};
use crate::sample::Latencies;

pub(super) fn wal_normal(bench: &Bench) -> anyhow::Result<Vec<Outcome>> {
    run(bench, "wal", "normal", 4000, |_| Some(Target::Above(25.0)))
}

pub(super) fn wal_full(bench: &Bench) -> anyhow::Result<Vec<Outcome>> {
    run(bench, "wal", "full", 1000, |_| Some(Target::Above(60.0)))
}

pub(super) fn delete_full(bench: &Bench) -> anyhow::Result<Vec<Outcome>> {
    // Without a disk to wait for, a journal is so cheap that a few requests to the daemon are many times its price.
    run(bench, "delete", "full", 400, |place| (place == Place::Disk).then_some(Target::Ratio(0.5)))
}

fn run(
    bench: &Bench,
    journal_mode: &str,
    synchronous: &str,
    count: u64,
    target: fn(Place) -> Option<Target>,
) -> anyhow::Result<Vec<Outcome>> {
    let count = bench.count(count, 20);
    let mut outcomes = Vec::new();
    for place in bench.places() {
        let directory = bench.directory(place)?;
        let node = Node::primary(directory.path())?;
        let bare = open(&directory.path().join("bare.db"), journal_mode, synchronous)?;
        let mounted = open(&node.path("app.db"), journal_mode, synchronous)?;
        for connection in [&bare, &mounted] {
            create_table(connection)?;
        }
        let pair = bench.interleave(1, |side| {
            let connection = if side == Side::Mount { &mounted } else { &bare };
            Ok(commit_rows(connection, count)?.percentile_us(50.0))
        })?;
        drop(mounted);
        let what = format!("commit {} {}", journal_mode.to_uppercase(), synchronous.to_uppercase());
        outcomes.push(Outcome::compared(what, place, Unit::Microseconds, &pair).with_target(target(place)));
    }
    Ok(outcomes)
}

/// Makes the table that [`commit_rows`] writes to.
pub(super) fn create_table(connection: &Connection) -> anyhow::Result<()> {
    Ok(connection.execute_batch("CREATE TABLE note (id INTEGER PRIMARY KEY, content BLOB NOT NULL)")?)
}

/// Commits so many transactions of one row of 100 bytes, and says how long each took.
pub(super) fn commit_rows(connection: &Connection, count: u64) -> anyhow::Result<Latencies> {
    let mut insert = connection.prepare_cached("INSERT INTO note (content) VALUES (?1)")?;
    let mut latencies = Latencies::default();
    for _ in 0..count {
        let started = Instant::now();
        insert.execute([[7_u8; 100]])?;
        latencies.push(started.elapsed());
    }
    Ok(latencies)
}
