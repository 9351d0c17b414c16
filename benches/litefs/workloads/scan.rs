use std::time::Instant;

use crate::bench::{Bench, Place, Side};
use crate::data::{fill, open};
use crate::node::Node;
use crate::outcome::{Outcome, Target, Unit};

pub(super) fn run(bench: &Bench) -> anyhow::Result<Vec<Outcome>> {
    let directory = bench.directory(Place::Disk)?;
    let node = Node::primary(directory.path())?;
    let bare = open(&directory.path().join("bare.db"), "wal", "normal")?;
    let mounted = open(&node.path("app.db"), "wal", "normal")?;
    for connection in [&bare, &mounted] {
        fill(connection, bench.count(1_000_000_000, 1_000_000))?;
    }
    let pair = bench.interleave(1, |side| {
        let connection = if side == Side::Mount { &mounted } else { &bare };
        let started = Instant::now();
        // The length alone would not read pages that a row overflows to; these rows do not.
        connection.query_row("SELECT sum(length(content)) FROM item", (), |row| row.get::<_, i64>(0))?;
        Ok(started.elapsed().as_secs_f64() * 1000.0)
    })?;
    drop(mounted);
    Ok(vec![
        Outcome::compared("scan of 1 GB", Place::Disk, Unit::Milliseconds, &pair)
            .with_target(Target::Ratio(0.9)),
    ])
}
