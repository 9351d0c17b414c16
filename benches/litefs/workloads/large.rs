use std::fs;
use std::path::Path;
use std::time::Instant;

use super::commits::{commit_rows, create_table};
use crate::bench::{Bench, Place, Side};
use crate::data::{fill, open};
use crate::node::Node;
use crate::outcome::{Outcome, Target, Unit};

/// Transactions that a killed daemon leaves in the WAL and in the log.
const LEFT_BEHIND: u64 = 5000;

pub(super) fn run(bench: &Bench) -> anyhow::Result<Vec<Outcome>> {
    let directory = bench.directory(Place::Disk)?;
    let mut node = Node::primary(directory.path())?;
    let size = bench.count(5_000_000_000, 5_000_000);
    let import = import(directory.path(), &node, size)?;
    let mut outcomes =
        vec![Outcome::alone("import of 5 GB", Place::Disk, Unit::MegabytesPerSecond, &[import])];
    outcomes.push(commits(bench, &node)?);

    let (mut stopped, mut killed) = (Vec::new(), Vec::new());
    for _ in 0..bench.repeats.min(3) {
        node.stop()?;
        stopped.push(start(&mut node)?);

        let connection = open(&node.path("large.db"), "wal", "normal")?;
        commit_rows(&connection, bench.count(LEFT_BEHIND, 100))?;
        node.kill()?;
        // It cannot close what is not there any more.
        drop(connection);
        killed.push(start(&mut node)?);
    }
    for (what, values, target) in
        [("start with 5 GB", stopped, 1000.0), ("start with 5 GB after kill -9", killed, 3000.0)]
    {
        outcomes.push(
            Outcome::alone(what, Place::Disk, Unit::Milliseconds, &values)
                .with_target(Target::AtMost(target)),
        );
    }
    Ok(outcomes)
}

/// Makes a database of `size` bytes outside and imports it. Returns the speed of the import in MB/s.
fn import(directory: &Path, node: &Node, size: u64) -> anyhow::Result<f64> {
    let source = directory.join("source.db");
    let connection = open(&source, "off", "off")?;
    fill(&connection, size)?;
    create_table(&connection)?;
    drop(connection);
    // Imported as a WAL database, which is what it would be.
    drop(open(&source, "wal", "off")?);
    let bytes = fs::metadata(&source)?.len();
    let started = Instant::now();
    node.command("import", &["-name", "large.db", &source.to_string_lossy()])?;
    let elapsed = started.elapsed();
    fs::remove_file(&source)?;
    Ok(bytes as f64 / 1e6 / elapsed.as_secs_f64())
}

/// Commits in the large database and in one of 1 MB beside it.
fn commits(bench: &Bench, node: &Node) -> anyhow::Result<Outcome> {
    let small = open(&node.path("small.db"), "wal", "normal")?;
    fill(&small, 1_000_000)?;
    create_table(&small)?;
    let large = open(&node.path("large.db"), "wal", "normal")?;
    let count = bench.count(4000, 20);
    let pair = bench.interleave(1, |side| {
        let connection = if side == Side::Mount { &large } else { &small };
        Ok(commit_rows(connection, count)?.percentile_us(50.0))
    })?;
    Ok(Outcome::compared("commit at 5 GB, to 1 MB", Place::Disk, Unit::Microseconds, &pair)
        .with_target(Target::Ratio(0.8)))
}

/// Milliseconds from the start of the process until the mount answers.
fn start(node: &mut Node) -> anyhow::Result<f64> {
    node.evict()?;
    let started = Instant::now();
    node.launch()?;
    node.wait_for("to answer", || Ok(node.position("large.db")))?;
    let elapsed = started.elapsed();
    node.wait_until_ready()?;
    Ok(elapsed.as_secs_f64() * 1000.0)
}
