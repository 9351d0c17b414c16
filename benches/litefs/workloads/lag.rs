use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::commits::create_table;
use crate::bench::Bench;
use crate::data::open;
use crate::node::Node;
use crate::outcome::{Outcome, Target, Unit};
use crate::sample::Latencies;

/// Between two transactions.
const PERIOD: Duration = Duration::from_millis(5);

/// Between two looks at the replica.
const POLL: Duration = Duration::from_micros(500);

/// How long the last transaction may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(bench: &Bench) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for place in bench.places() {
        let directory = bench.directory(place)?;
        let primary = Node::primary(directory.path())?;
        let mut replica = Node::replica(directory.path(), "replica", &primary)?;
        replica.start()?;
        create_table(&open(&primary.path("app.db"), "wal", "normal")?)?;
        replica.wait_for("to have the database", || {
            let position = primary.position("app.db");
            Ok((position.is_some() && replica.position("app.db") == position).then_some(()))
        })?;
        let count = bench.count(2000, 40);
        let mut lags = measure(&primary.path("app.db"), &replica.path("app.db"), count)?;
        for (percent, target) in [(50.0, None), (99.0, Some(Target::AtMost(10.0)))] {
            let what = format!("lag of a replica p{percent}");
            let milliseconds = lags.percentile_us(percent) / 1000.0;
            outcomes
                .push(Outcome::alone(what, place, Unit::Milliseconds, &[milliseconds]).with_target(target));
        }
    }
    Ok(outcomes)
}

/// How long after each commit has returned it is first seen on the replica, by a program that looks again and again.
fn measure(primary: &Path, replica: &Path, count: u64) -> anyhow::Result<Latencies> {
    let watcher = thread::spawn({
        let replica = replica.to_path_buf();
        move || watch(&replica, count)
    });
    let connection = open(primary, "wal", "normal")?;
    let mut insert = connection.prepare("INSERT INTO note (content) VALUES (?1)")?;
    let mut committed = Vec::new();
    let started = Instant::now();
    for number in 0..count {
        let due = started + PERIOD * u32::try_from(number)?;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        insert.execute([[7_u8; 100]])?;
        committed.push(Instant::now());
    }
    let seen = watcher.join().map_err(|_| anyhow::anyhow!("the replica's reader failed"))??;
    let mut lags = Latencies::default();
    for (committed, seen) in committed.iter().zip(&seen) {
        lags.push(seen.saturating_duration_since(*committed));
    }
    Ok(lags)
}

/// When each of so many rows was first seen.
fn watch(replica: &Path, count: u64) -> anyhow::Result<Vec<Instant>> {
    let connection = rusqlite::Connection::open(replica)?;
    connection.busy_timeout(PATIENCE)?;
    let mut last = connection.prepare("SELECT ifnull(max(id), 0) FROM note")?;
    let mut seen = Vec::new();
    let mut progressed = Instant::now();
    while (seen.len() as u64) < count {
        let rows: u64 = last.query_row((), |row| row.get::<_, i64>(0))?.try_into().context("a row id")?;
        let now = Instant::now();
        if rows as usize > seen.len() {
            seen.resize(rows as usize, now);
            progressed = now;
        }
        anyhow::ensure!(progressed.elapsed() < PATIENCE, "the replica stays at row {rows} of {count}");
        thread::sleep(POLL);
    }
    Ok(seen)
}
