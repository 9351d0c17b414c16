//! What is measured.

mod bulk;
mod commits;
mod lag;
mod large;
mod memory;
mod readers;
mod reads;
mod scan;
mod snapshot;

use crate::bench::Bench;
use crate::outcome::Outcome;

/// Something that can be measured.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Bench) -> anyhow::Result<Vec<Outcome>>,
}

/// All of them.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "wal-normal",
        about: "commits of one row, WAL, synchronous=NORMAL",
        run: commits::wal_normal,
    },
    Workload { name: "wal-full", about: "commits of one row, WAL, synchronous=FULL", run: commits::wal_full },
    Workload {
        name: "delete-full",
        about: "commits of one row, rollback journal, synchronous=FULL",
        run: commits::delete_full,
    },
    Workload {
        name: "reads",
        about: "reads of one row: alone, in a transaction, and by mmap",
        run: reads::run,
    },
    Workload { name: "scan", about: "a scan of a table of 1 GB in the page cache", run: scan::run },
    Workload { name: "bulk", about: "an insert of 1 million rows in one transaction", run: bulk::run },
    Workload { name: "readers", about: "4 processes that read beside one that writes", run: readers::run },
    Workload {
        name: "lag",
        about: "from a commit on the primary until a replica sees it, 200 a second",
        run: lag::run,
    },
    Workload { name: "snapshot", about: "a database of 1 GB sent to a new replica", run: snapshot::run },
    Workload {
        name: "large",
        about: "a database of 5 GB: import, commits, start after a stop and after kill -9",
        run: large::run,
    },
    Workload {
        name: "memory",
        about: "memory of the daemon: idle, and with 1,000 databases",
        run: memory::run,
    },
];
