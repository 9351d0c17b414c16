//! What one seed means: every parameter of a run, drawn before it starts and printable.

use std::ops::Range;

use litefs_core::Planted;

use crate::rng::Rng;
use crate::step::Step;

/// Every parameter of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What everything else was drawn from.
    pub seed: u64,
    /// What SQLite's operations go to.
    pub under_test: UnderTest,
    /// The rule that the machine breaks on purpose.
    pub planted: Planted,
    /// Bytes above which the log begins a new segment.
    pub segment_len_max: u64,
    /// Transactions that may wait for the log.
    pub backlog_max: usize,
    /// Whether LTX files are compressed.
    pub compress: bool,
    /// What the disk promises.
    pub file_system: FileSystem,
    /// Of a hundred disk operations, how many let other statements run first.
    pub pause_percent: u64,
    /// Whether WAL-mode writes of the database file go past the machine.
    pub passthrough: bool,
    /// Whether the kernel sends long writes in two pieces.
    pub split_writes: bool,
    /// Whether SQLite may assume that a torn write leaves bytes around it alone.
    pub powersafe_overwrite: bool,
    /// Bytes in a page.
    pub page_size: u32,
    /// SQLite's number for none, full and incremental.
    pub auto_vacuum: u32,
    /// Pages in SQLite's cache. A small one spills.
    pub cache_pages: u32,
    /// Pages in the WAL after which SQLite checkpoints by itself.
    pub auto_checkpoint: u32,
    /// The journal mode the database begins in.
    pub journal_mode: JournalMode,
    /// Whether connections change the journal mode as they go.
    pub switch_journal_mode: bool,
    /// How careful SQLite is.
    pub synchronous: Synchronous,
    /// Whether connections sometimes lock the database for themselves.
    pub exclusive_locking: bool,
    /// Whether a second database takes part in some transactions.
    pub attach: bool,
    /// Whether single applications are killed while the others and the daemon go on.
    pub kill_clients: bool,
    /// Whether the daemon makes the WAL longer than its frames now and then.
    pub extend_wal: bool,
    /// Whether the daemon removes old segments of the log now and then.
    pub retention: bool,
    /// Whether the daemon can read the wal-index, as it can where that is a file.
    pub readable_wal_index: bool,
    /// What connections do in half of their steps, if anything.
    pub often: Option<Often>,
    /// The number of connections.
    pub clients: u64,
    /// What every connection does in every life before it is done.
    pub steps: u64,
    /// The lives of the node, each from a recovery to the next end.
    pub lives: Vec<Life>,
}

/// What SQLite's operations go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnderTest {
    /// Straight to the disk. SQLite alone keeps its promises, or the simulator is wrong.
    Nothing,
    /// Through the machine of the database.
    Machine,
}

/// Something that connections do now and then, and may do often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Often {
    /// A transaction over both databases.
    WriteBoth,
    /// `VACUUM`, also with another page size.
    Vacuum,
    /// Another journal mode.
    JournalMode,
    /// A checkpoint.
    Checkpoint,
    /// A transaction of many pages.
    LargeWrite,
}

impl Often {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::WriteBoth, Self::Vacuum, Self::JournalMode, Self::Checkpoint, Self::LargeWrite];
}

/// What a file system promises beyond what was synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// Names and lengths become durable in order, and any sync makes all of them so.
    Ext4,
    /// Nothing: a name needs a sync of its directory.
    Posix,
}

/// A journal mode of SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalMode {
    /// The journal is removed at commit.
    Delete,
    /// The journal is cut at commit.
    Truncate,
    /// The journal's header is zeroed at commit.
    Persist,
    /// There is a write-ahead log.
    Wal,
}

impl JournalMode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Delete, Self::Truncate, Self::Persist, Self::Wal];

    /// As `PRAGMA journal_mode` has it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Truncate => "truncate",
            Self::Persist => "persist",
            Self::Wal => "wal",
        }
    }
}

/// How careful SQLite is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Synchronous {
    /// Never syncs.
    Off,
    /// Syncs so that the database stays whole.
    Normal,
    /// Syncs so that what was committed stays.
    Full,
}

impl Synchronous {
    /// As `PRAGMA synchronous` has it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Normal => "normal",
            Self::Full => "full",
        }
    }
}

/// One life of the node: what goes wrong on its disk, and how it ends.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// The disk operation the node stops in. Without it, or when there are fewer, everything is closed in order.
    pub crash: Option<(u64, Crash)>,
    /// Single disk operations that fail, each the first that can from a number on. Ascending.
    pub errors: Vec<(u64, DiskFault)>,
    /// The disk operations during which the disk is full.
    pub full: Range<u64>,
    /// The step that the node stops in, counted from the operation that `crash` says.
    pub crash_aim: Option<Aim>,
    /// Errors of certain steps.
    pub aimed: Vec<AimedError>,
}

/// The first, second or later operation of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    /// The kind.
    pub step: Step,
    /// How many are still to come, that one included.
    pub nth: u64,
}

/// An error of a certain step.
#[derive(Clone, Copy, Debug)]
pub struct AimedError {
    /// The disk operation from which steps count.
    pub from: u64,
    /// The step that fails.
    pub aim: Aim,
    /// How it fails.
    pub fault: DiskFault,
}

/// How a node stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// All processes end; the operating system stays up and remembers every write.
    Kill,
    /// The power goes; what was not synced may be lost.
    PowerLoss,
}

/// How a single disk operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// With an input/output error.
    Eio,
    /// For want of space.
    Enospc,
    /// A sync fails, and the next one succeeds without having written what the first one should have.
    LyingSync,
}

impl Plan {
    /// The run that `seed` stands for.
    pub fn of_seed(seed: u64, under_test: UnderTest) -> Self {
        let mut rng = Rng::of_part(seed, "plan");
        let page_size = rng.pick(&[512, 512, 1024, 1024, 2048, 4096, 4096, 8192, 16384, 32768, 65536]);
        // Each of these is off more often than on, so that most runs have few of them at once.
        let errors = rng.percent(40);
        let full_disk = rng.percent(20);
        let power = rng.percent(60);
        let clients = rng.between(1, 4);
        let lives = rng.between(2, 4);
        let mut lives: Vec<Life> =
            (0..lives).map(|_| Life::draw(&mut rng, power, errors, full_disk)).collect();
        if under_test == UnderTest::Nothing {
            // SQLite believes a sync that succeeds after one that failed.
            for life in &mut lives {
                life.errors.retain(|(_, fault)| *fault != DiskFault::LyingSync);
            }
        }
        Self {
            seed,
            under_test,
            planted: Planted::default(),
            segment_len_max: rng.pick(&[4096, 100_000, 10_000_000]),
            backlog_max: rng.pick(&[1, 4, 1000]),
            compress: rng.percent(50),
            // SQLite itself counts on the order: it cuts the database after the journal and syncs neither.
            file_system: match under_test {
                UnderTest::Nothing => FileSystem::Ext4,
                UnderTest::Machine => rng.pick(&[FileSystem::Ext4, FileSystem::Posix]),
            },
            pause_percent: rng.pick(&[0, 2, 10, 30]),
            passthrough: rng.percent(70),
            split_writes: rng.percent(30),
            powersafe_overwrite: rng.percent(80),
            page_size,
            auto_vacuum: rng.pick(&[0, 0, 0, 1, 2]),
            cache_pages: rng.pick(&[1, 3, 10, 200]),
            auto_checkpoint: rng.pick(&[2, 20, 100, 1000]),
            journal_mode: rng.pick(&JournalMode::ALL),
            switch_journal_mode: rng.percent(30),
            synchronous: if power {
                rng.pick(&[Synchronous::Normal, Synchronous::Full, Synchronous::Full])
            } else {
                rng.pick(&[Synchronous::Off, Synchronous::Normal, Synchronous::Full])
            },
            exclusive_locking: rng.percent(20),
            attach: rng.percent(25),
            // Drawn apart, so that it left the seeds before it what they were.
            kill_clients: Rng::of_part(seed, "kill clients").percent(30),
            extend_wal: Rng::of_part(seed, "extend wal").percent(25),
            retention: false,
            readable_wal_index: false,
            often: None,
            clients,
            steps: rng.between(10, 60) / clients + 2,
            lives,
        }
    }

    /// Another run of `seed`, in which faults are aimed at certain steps, nodes end now with their disk's cache and
    /// now without, and the daemon does more on its own.
    pub fn aimed(seed: u64) -> Self {
        let mut rng = Rng::of_part(seed, "aimed");
        let mut plan = Self::of_seed(seed, UnderTest::Machine);
        if plan.synchronous == Synchronous::Off {
            plan.synchronous = Synchronous::Full;
        }
        plan.readable_wal_index = true;
        plan.often = rng.percent(40).then(|| rng.pick(&Often::ALL));
        plan.retention = rng.percent(40);
        if plan.retention {
            plan.segment_len_max = rng.pick(&[4096, 20_000]);
        }
        let errors = rng.percent(50);
        for life in &mut plan.lives {
            life.aim(&mut rng, errors);
        }
        plan
    }

    /// Names of the databases that take part.
    pub fn databases(&self) -> &'static [&'static str] {
        if self.attach { &["a.db", "b.db"] } else { &["a.db"] }
    }
}

impl Life {
    fn draw(rng: &mut Rng, power: bool, errors: bool, full_disk: bool) -> Self {
        let longest = rng.pick(&[30, 200, 1000]);
        let crash = rng
            .percent(85)
            .then(|| (rng.between(1, longest), if power { Crash::PowerLoss } else { Crash::Kill }));
        let mut failing: Vec<(u64, DiskFault)> = Vec::new();
        if errors {
            for _ in 0..rng.between(0, 6) {
                let fault = rng.pick(&[DiskFault::Eio, DiskFault::Enospc, DiskFault::LyingSync]);
                failing.push((rng.between(1, longest), fault));
            }
            failing.sort_by_key(|(at, _)| *at);
        }
        let from = rng.between(1, longest);
        let full = if full_disk { from..from + rng.between(1, 100) } else { 0..0 };
        Self { crash, errors: failing, full, ..Self::default() }
    }

    /// Aims the crash at a step, and errors if there are to be `errors`.
    fn aim(&mut self, rng: &mut Rng, errors: bool) {
        let longest = rng.pick(&[10, 100, 500]);
        let crash = rng.pick(&[Crash::PowerLoss, Crash::PowerLoss, Crash::Kill]);
        self.crash = rng.percent(85).then(|| (rng.between(1, longest), crash));
        if rng.percent(80) {
            self.crash_aim = Some(Aim { step: Step::draw(rng), nth: rng.between(1, 3) });
        }
        if !errors {
            return;
        }
        for _ in 0..rng.between(0, 2) {
            let lying = rng.percent(60);
            let (step, fault) = if lying {
                (Step::draw_sync(rng), DiskFault::LyingSync)
            } else {
                (Step::draw(rng), rng.pick(&[DiskFault::Eio, DiskFault::Enospc]))
            };
            let aim = Aim { step, nth: rng.between(1, 3) };
            self.aimed.push(AimedError { from: rng.between(1, longest), aim, fault });
        }
    }
}

impl Aim {
    /// Whether this operation is the one, which is then behind it.
    pub(crate) fn hits(&mut self, step: Step) -> bool {
        if self.nth > 0 && step == self.step {
            self.nth -= 1;
            return self.nth == 0;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_means_one_plan() {
        let text = |seed| format!("{:?}", Plan::of_seed(seed, UnderTest::Machine));
        assert_eq!(text(5), text(5));
        assert_ne!(text(5), text(6));
    }
}
