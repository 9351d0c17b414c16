use std::thread;
use std::time::Duration;

use super::commits::{commit_rows, create_table};
use crate::bench::{Bench, Place};
use crate::data::open;
use crate::node::Node;
use crate::outcome::{Outcome, Target, Unit};

pub(super) fn run(bench: &Bench) -> anyhow::Result<Vec<Outcome>> {
    // A thousand databases mean thousands of syncs, which are not what is measured here.
    let directory = bench.directory(Place::Memory)?;
    let mut node = Node::primary(directory.path())?;
    let idle = resident(&node)?;
    for number in 0..bench.count(1000, 3) {
        let connection = open(&node.path(&format!("app{number}.db")), "wal", "normal")?;
        create_table(&connection)?;
        commit_rows(&connection, 10)?;
    }
    let after_writing = resident(&node)?;
    node.stop()?;
    node.start()?;
    let after_start = resident(&node)?;
    let outcome = |what, megabytes: f64, most| {
        Outcome::alone(what, Place::Memory, Unit::Megabytes, &[megabytes]).with_target(Target::AtMost(most))
    };
    Ok(vec![
        outcome("memory when idle", idle, 20.0),
        outcome("memory after writing 1,000 databases", after_writing, 200.0),
        outcome("memory after a start with 1,000 databases", after_start, 200.0),
    ])
}

/// Physical memory of the daemon, in MB, after it has had time to finish what it was doing.
fn resident(node: &Node) -> anyhow::Result<f64> {
    thread::sleep(Duration::from_secs(1));
    Ok(node.resident()? as f64 / 1e6)
}
