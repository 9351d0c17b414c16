use std::rc::Rc;

use litefs_core::database::{Authority, Options, Request, StopReason};
use litefs_core::drive::{Driver, OpenError};
use litefs_core::log::Retention;
use litefs_core::{Disk, Errno, File, NodeId, Now, Position};

use crate::database_disk::DatabaseDisk;
use crate::machine_disk::Path;
use crate::node::Node;
use crate::plan::{Plan, UnderTest};

/// What carries out the operations on a database's files.
#[derive(Debug)]
pub(crate) enum Engine {
    /// The disk alone, as if there were no daemon.
    Nothing(DatabaseDisk),
    /// The machine of the database.
    Machine(Box<Driver<DatabaseDisk>>),
}

impl Engine {
    /// Opens a database, which recovers it.
    pub(crate) fn open(node: &Rc<Node>, database: &Rc<str>, plan: &Plan) -> Result<Self, OpenError> {
        let mut engine = Self::open_for_reading(node, database, plan, NodeId::new(plan.seed | 1))?;
        if let Self::Machine(driver) = &mut engine {
            driver.set_authority(Authority::Forever);
        }
        Ok(engine)
    }

    /// Opens a database of the node that LTX files name so, which recovers it. It takes no transactions of programs yet.
    pub(crate) fn open_for_reading(
        node: &Rc<Node>,
        database: &Rc<str>,
        plan: &Plan,
        node_id: NodeId,
    ) -> Result<Self, OpenError> {
        let disk = DatabaseDisk::new(node, database);
        if plan.under_test == UnderTest::Nothing {
            return Ok(Self::Nothing(disk));
        }
        let options = Options {
            node_id,
            compress: plan.compress,
            backlog_max: plan.backlog_max,
            planted: plan.planted,
        };
        if node.has_torn_sums(&Path::Governed(Rc::clone(database), File::Sums)) {
            node.record.violation(format!("{database}: honest disk, damaged page checksums"));
        }
        let super_journal_exists = |path: &[u8]| {
            let name =
                path.rsplit(|byte| *byte == b'/').next().and_then(|name| std::str::from_utf8(name).ok());
            name.is_some_and(|name| node.disk().len(&Path::Plain(name.into())).is_some())
        };
        let opened = Driver::open(disk, options, plan.segment_len_max, &super_journal_exists, node.now());
        let (driver, recovered) = opened.inspect_err(|error| {
            node.record.event(format_args!("{database} cannot be opened: {error}"));
        })?;
        node.record.event(format_args!("{database} opened {recovered:?}"));
        for (happened, probe) in [
            (recovered.rolled_back, "recovery rolled back"),
            (recovered.captured > 0, "recovery captured from the WAL"),
            (recovered.redone > 0, "recovery redid"),
            (recovered.trimmed > 0, "recovery trimmed the log"),
            (recovered.scanned, "recovery scanned"),
        ] {
            if happened {
                node.record.probe(probe);
            }
        }
        if !recovered.damage.is_empty() && !node.record.saw("lying sync") {
            node.record.violation(format!("{database}: honest disk, damaged log: {:?}", recovered.damage));
        }
        Ok(Self::Machine(Box::new(driver)))
    }

    /// The position of the database, unless nothing is under test.
    pub(crate) fn position(&self) -> Option<Position> {
        match self {
            Self::Nothing(_) => None,
            Self::Machine(driver) => Some(driver.position()),
        }
    }

    /// The machine and its log.
    ///
    /// # Panics
    /// If nothing is under test.
    pub(crate) fn driver(&self) -> &Driver<DatabaseDisk> {
        let Self::Machine(driver) = self else { unreachable!("there is no machine under test") };
        driver
    }

    /// As [`Self::driver`].
    pub(crate) fn driver_mut(&mut self) -> &mut Driver<DatabaseDisk> {
        let Self::Machine(driver) = self else { unreachable!("there is no machine under test") };
        driver
    }

    /// Why the daemon gave the database up until the node is restarted, if it did.
    pub(crate) fn stopped(&self) -> Option<StopReason> {
        match self {
            Self::Nothing(_) => None,
            Self::Machine(driver) => driver.database().stopped(),
        }
    }

    /// Whether a committed transaction waits to be published in the wal-index. Asking clears it.
    pub(crate) fn take_in_doubt(&mut self) -> bool {
        match self {
            Self::Nothing(_) => false,
            Self::Machine(driver) => driver.database_mut().take_in_doubt(),
        }
    }

    /// Says whether the database file is written past the daemon from now on.
    pub(crate) fn set_unseen_writes(&mut self, unseen: bool) {
        match self {
            Self::Nothing(_) => {}
            Self::Machine(driver) => driver.database_mut().set_unseen_writes(unseen),
        }
    }

    /// Carries out one operation.
    pub(crate) fn request(&mut self, request: Request<'_>, now: Now) -> Result<(), Errno> {
        match self {
            Self::Nothing(disk) => carry_out(disk, request),
            Self::Machine(driver) => driver.request(request, now),
        }
    }

    /// Some of what the daemon does on its own. Returns what for, and how it went.
    pub(crate) fn work(&mut self, task: Task) -> Result<(), Errno> {
        let Self::Machine(driver) = self else { return Ok(()) };
        match task {
            Task::Append => driver.append_pending(),
            Task::Sync => driver.append_pending().and_then(|()| driver.sync_log()),
            Task::Save => driver.save(),
            Task::Expire(size) => driver.expire(Retention { age_ms: None, size: Some(size) }, 0).map(drop),
            Task::ExtendWal(len) => driver.extend_wal(len),
        }
    }

    /// Ends in order, with nothing open.
    pub(crate) fn close(&mut self) -> Result<(), Errno> {
        match self {
            Self::Nothing(_) => Ok(()),
            Self::Machine(driver) => driver.close(),
        }
    }
}

/// Something the daemon does on its own now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Appends what was captured to the log.
    Append,
    /// Makes the log durable.
    Sync,
    /// Saves the page checksums.
    Save,
    /// Removes the oldest segments of a log that is larger than so many bytes.
    Expire(u64),
    /// Makes the WAL at least so many bytes long.
    ExtendWal(u64),
}

/// What a kernel does without a daemon.
fn carry_out(disk: &DatabaseDisk, request: Request<'_>) -> Result<(), Errno> {
    match request {
        Request::Create(file) => disk.set_len(file, 0),
        Request::Write { file, offset, data } => disk.write_at(file, offset, data),
        Request::SetLen { file, len } => disk.set_len(file, len),
        // SQLite syncs the directory itself where it matters to it; here that is folded into the operation.
        Request::Remove(file) => {
            disk.remove(file)?;
            disk.sync_directory()
        }
        Request::Sync(file) => {
            disk.sync(file)?;
            disk.sync_directory()
        }
        Request::Closed => Ok(()),
    }
}
