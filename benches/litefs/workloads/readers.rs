use std::path::Path;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Place, Side};
use crate::data::{fill, open};
use crate::node::Node;
use crate::outcome::{Outcome, Unit};
use crate::reader::Reader;
use crate::sample::Pair;

const READERS: usize = 4;

pub(super) fn run(bench: &Bench) -> anyhow::Result<Vec<Outcome>> {
    let directory = bench.directory(Place::Disk)?;
    let node = Node::primary(directory.path())?;
    let (bare, mounted) = (directory.path().join("bare.db"), node.path("app.db"));
    for path in [&bare, &mounted] {
        fill(&open(path, "wal", "normal")?, bench.count(100_000_000, 100_000))?;
    }
    let duration = bench.duration(Duration::from_secs(2));
    let mut reads = Pair::default();
    let writes = bench.interleave(0, |side| {
        let path = if side == Side::Mount { &mounted } else { &bare };
        let (written, read) = measure(path, duration)?;
        reads.push(side, read);
        Ok(written)
    })?;
    Ok(vec![
        Outcome::compared("4 readers beside a writer", Place::Disk, Unit::PerSecond, &reads),
        Outcome::compared("a writer beside 4 readers", Place::Disk, Unit::PerSecond, &writes),
    ])
}

/// Transactions and reads per second.
fn measure(path: &Path, duration: Duration) -> anyhow::Result<(f64, f64)> {
    let connection = open(path, "wal", "normal")?;
    let mut update = connection.prepare("UPDATE item SET content = randomblob(1000) WHERE id = ?1")?;
    let mut readers = (0..READERS).map(|_| Reader::spawn(path)).collect::<anyhow::Result<Vec<_>>>()?;
    for reader in &mut readers {
        reader.start()?;
    }
    let started = Instant::now();
    let mut written = 0_u64;
    while started.elapsed() < duration {
        update.execute([(written % 50).cast_signed()])?;
        written += 1;
    }
    let elapsed = started.elapsed().as_secs_f64();
    let mut read = 0;
    for reader in readers {
        read += reader.stop()?;
    }
    Ok((written as f64 / elapsed, read as f64 / elapsed))
}
