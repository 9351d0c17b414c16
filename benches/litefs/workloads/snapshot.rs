use std::time::Instant;

use crate::bench::Bench;
use crate::data::{fill, open};
use crate::node::Node;
use crate::outcome::{Outcome, Target, Unit};

pub(super) fn run(bench: &Bench) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for place in bench.places() {
        let directory = bench.directory(place)?;
        let primary = Node::primary(directory.path())?;
        let connection = open(&primary.path("app.db"), "wal", "normal")?;
        fill(&connection, bench.count(1_000_000_000, 1_000_000))?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
        let size = std::fs::metadata(primary.path("app.db"))?.len();
        let wanted = primary.position("app.db");
        let mut rates = Vec::new();
        for number in 0..bench.repeats.min(3) {
            let mut replica = Node::replica(directory.path(), &format!("replica{number}"), &primary)?;
            let started = Instant::now();
            replica.launch()?;
            replica.wait_for("to have the snapshot", || {
                Ok((wanted.is_some() && replica.position("app.db") == wanted).then_some(()))
            })?;
            rates.push(size as f64 / 1e6 / started.elapsed().as_secs_f64());
            replica.stop()?;
            std::fs::remove_dir_all(replica.data())?;
        }
        outcomes.push(
            Outcome::alone("snapshot to a new replica", place, Unit::MegabytesPerSecond, &rates)
                .with_target(Target::AtLeast(200.0)),
        );
    }
    Ok(outcomes)
}
