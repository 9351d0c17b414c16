//! The mistakes that the simulator must notice, and with how many seeds.

use litefs_core::Mistake;

use crate::plan::{Aim, AimedError, Crash, DiskFault, JournalMode, Often, Plan, Synchronous};
use crate::step::Step;

/// A mistake that is planted, and what must be enough to notice it.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// The mistake.
    pub mistake: Mistake,
    /// Seeds that must be enough for three of them to notice it.
    pub budget: u64,
    /// What the runs have in common that could show it: the journal mode, or the step in which the disk fails.
    pub with: fn(&mut Plan),
}

impl Planted {
    /// The run of `seed` in which the mistake is made.
    pub fn plan(&self, seed: u64) -> Plan {
        Plan { planted: self.mistake.into(), ..self.plan_without(seed) }
    }

    /// The same run without the mistake.
    pub fn plan_without(&self, seed: u64) -> Plan {
        let mut plan = Plan::aimed(seed);
        (self.with)(&mut plan);
        plan
    }
}

const fn planted(mistake: Mistake, budget: u64, with: fn(&mut Plan)) -> Planted {
    Planted { mistake, budget, with }
}

/// All of them.
pub const PLANTED: [Planted; 41] = [
    planted(Mistake::CommitsBeforeLogSync, 40, any),
    planted(Mistake::EndsJournalBeforeLog, 60, rollback),
    planted(Mistake::LooksAtOneFrame, 20, wal),
    planted(Mistake::LeavesOutUnwrittenPages, 80, any),
    planted(Mistake::MissesPersistCommit, 40, any),
    planted(Mistake::MissesWritesInWalMode, 20, changing_mode),
    planted(Mistake::MissesUnseenWrites, 40, |plan| {
        changing_mode(plan);
        plan.passthrough = true;
    }),
    planted(Mistake::WritesRefusedCommit, 80, |plan| {
        wal(plan);
        plan.backlog_max = 1;
        fail(plan, Step::LogAppend, DiskFault::Enospc);
    }),
    planted(Mistake::FailsAfterLog, 20, |plan| {
        rollback(plan);
        fail(plan, Step::JournalEnd, DiskFault::Eio);
    }),
    // A process must die between two operations, and the next journal must be as long as its own.
    planted(Mistake::LeavesSuperJournalName, 400, |plan| {
        spanning(plan);
        plan.journal_mode = JournalMode::Persist;
        plan.kill_clients = true;
        plan.steps = 25;
        plan.page_size = 1024;
        for life in &mut plan.lives {
            life.crash = life.crash.map(|(from, crash)| (from + 200, crash));
        }
        aim(plan, Step::DatabaseWrite);
    }),
    planted(Mistake::KeepsSumsOfCutPages, 120, |plan| plan.often = Some(Often::Vacuum)),
    planted(Mistake::DropsQueueOnError, 20, |plan| {
        wal(plan);
        fail(plan, Step::LogAppend, DiskFault::Enospc);
    }),
    planted(Mistake::WalStartsOverBeforeLog, 40, any),
    planted(Mistake::WalStartsOverInDoubt, 100, |plan| {
        wal(plan);
        plan.kill_clients = true;
    }),
    planted(Mistake::OverwritesCommitInDoubt, 100, |plan| {
        wal(plan);
        plan.kill_clients = true;
    }),
    planted(Mistake::ForgetsFailedLogSync, 20, |plan| fail(plan, Step::LogSync, DiskFault::LyingSync)),
    planted(Mistake::ForgetsFailedWalSync, 30, |plan| {
        wal(plan);
        fail(plan, Step::WalSync, DiskFault::LyingSync);
        crash(plan, Crash::PowerLoss);
    }),
    planted(Mistake::ForgetsNameOfJournal, 120, any),
    planted(Mistake::ForgetsNameOfSegment, 80, any),
    planted(Mistake::RotatesBeforeSync, 80, any),
    planted(Mistake::SavesBeforeCheckpoint, 150, wal),
    planted(Mistake::BelievesPartOfCheckpoint, 150, wal),
    planted(Mistake::RenamesUnsyncedSums, 20, |plan| {
        crash(plan, Crash::PowerLoss);
        aim(plan, Step::SumsRename);
    }),
    planted(Mistake::ExpiresWhatRecoveryNeeds, 200, retaining),
    planted(Mistake::BelievesCleanStart, 100, any),
    planted(Mistake::BelievesStaleSums, 20, any),
    planted(Mistake::BelievesTornTransaction, 150, |plan| {
        crash(plan, Crash::PowerLoss);
        aim(plan, Step::LogSync);
    }),
    planted(Mistake::AppendsBehindTornEnd, 150, any),
    planted(Mistake::BelievesWhatItReads, 20, forgetful),
    planted(Mistake::LeavesOutSegmentHeader, 60, |plan| {
        forgetful(plan);
        plan.segment_len_max = 4096;
    }),
    planted(Mistake::SkipsRollback, 50, any),
    planted(Mistake::RollsBackAfterSuperJournal, 100, |plan| {
        spanning(plan);
        aim(plan, Step::JournalEnd);
    }),
    planted(Mistake::BelievesAnySuperJournal, 20, |plan| {
        spanning(plan);
        aim(plan, Step::DatabaseWrite);
    }),
    planted(Mistake::RemovesJournalEarly, 200, spilling),
    planted(Mistake::SkipsCapture, 80, any),
    planted(Mistake::CapturesAfterRedo, 50, any),
    planted(Mistake::IgnoresFrameChecksums, 120, wal),
    planted(Mistake::IgnoresSalts, 80, any),
    planted(Mistake::IgnoresSupersededWal, 250, |plan| {
        wal(plan);
        plan.auto_checkpoint = 2;
        plan.synchronous = Synchronous::Normal;
        fail(plan, Step::WalSync, DiskFault::LyingSync);
        fail(plan, Step::WalSync, DiskFault::LyingSync);
        crash(plan, Crash::PowerLoss);
    }),
    planted(Mistake::SkipsRedo, 50, any),
    planted(Mistake::SkipsFreelist, 80, spilling),
];

/// Whatever the seed says.
fn any(_: &mut Plan) {}

/// A journal that is rolled back.
fn rollback(plan: &mut Plan) {
    if plan.journal_mode == JournalMode::Wal {
        plan.journal_mode = JournalMode::Persist;
    }
    plan.switch_journal_mode = false;
}

/// A write-ahead log.
fn wal(plan: &mut Plan) {
    plan.journal_mode = JournalMode::Wal;
    plan.switch_journal_mode = false;
}

/// Another journal mode every now and then, and no write that passes the daemon.
fn changing_mode(plan: &mut Plan) {
    plan.switch_journal_mode = true;
    plan.often = Some(Often::JournalMode);
    plan.passthrough = false;
}

/// Transactions over two databases.
fn spanning(plan: &mut Plan) {
    rollback(plan);
    plan.attach = true;
    plan.often = Some(Often::WriteBoth);
}

/// Transactions that SQLite's cache does not hold, and that end in the middle.
fn spilling(plan: &mut Plan) {
    rollback(plan);
    plan.often = Some(Often::LargeWrite);
    plan.cache_pages = 1;
    aim(plan, Step::DatabaseWrite);
}

/// A log that old segments are removed from.
fn retaining(plan: &mut Plan) {
    plan.retention = true;
    plan.segment_len_max = 4096;
}

/// A sync of the log fails, the daemon is started anew on what the kernel remembers, and then the power goes.
fn forgetful(plan: &mut Plan) {
    fail(plan, Step::LogSync, DiskFault::LyingSync);
    for (at, life) in plan.lives.iter_mut().enumerate() {
        let crash = if at % 2 == 0 { Crash::Kill } else { Crash::PowerLoss };
        life.crash = Some((life.crash.map_or(50, |(from, _)| from), crash));
        if at % 2 == 1 {
            life.aimed.clear();
        }
    }
}

/// How the node ends in each life.
fn crash(plan: &mut Plan, crash: Crash) {
    for life in &mut plan.lives {
        life.crash = Some((life.crash.map_or(50, |(from, _)| from), crash));
    }
}

/// The step the node ends in.
fn aim(plan: &mut Plan, step: Step) {
    for life in &mut plan.lives {
        life.crash_aim = Some(Aim { step, nth: life.crash_aim.map_or(1, |aim| aim.nth) });
    }
}

/// Lets a step fail in each life.
fn fail(plan: &mut Plan, step: Step, fault: DiskFault) {
    for life in &mut plan.lives {
        let from = life.crash.map_or(10, |(from, _)| from / 3);
        life.aimed.push(AimedError { from, aim: Aim { step, nth: 1 }, fault });
    }
}
