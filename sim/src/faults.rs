use std::ops::Range;

use litefs_core::Errno;

use crate::plan::{Aim, AimedError, Crash, DiskFault, Life};
use crate::step::Step;

/// What goes wrong in one life of a node, by the number of the disk operation it goes wrong at.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    operations: u64,
    crash: Option<(u64, Crash)>,
    /// Ascending; each fires at the first operation it suits from that one on.
    errors: Vec<(u64, DiskFault)>,
    full: Range<u64>,
    /// The step that the crash waits for.
    crash_aim: Option<Aim>,
    aimed: Vec<AimedError>,
    fired: u64,
}

/// What an operation does, as far as faults care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Takes space: a write, or a longer length.
    Grow,
    /// Makes something durable.
    Sync,
    /// Anything else.
    Other,
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It succeeds.
    Proceed,
    /// It fails with this error. Part of a write may be there.
    Fail(Errno),
    /// The sync fails, and the kernel forgets that there was something to write.
    FailAndForget,
    /// The node stops in the middle of it.
    Crash(Crash),
}

impl Faults {
    /// The faults of `life`, counted from now.
    pub(crate) fn of(life: &Life) -> Self {
        Self {
            operations: 0,
            crash: life.crash,
            errors: life.errors.clone(),
            full: life.full.clone(),
            crash_aim: life.crash_aim,
            aimed: life.aimed.clone(),
            fired: 0,
        }
    }

    /// A crash at one operation and nothing else.
    pub(crate) fn crash_at(operation: u64, crash: Crash) -> Self {
        Self { crash: Some((operation, crash)), ..Self::default() }
    }

    /// Counts an operation and says what becomes of it.
    pub(crate) fn next(&mut self, kind: Kind, step: Step) -> Verdict {
        self.operations += 1;
        let at = self.operations;
        let aim = &mut self.crash_aim;
        let is_time =
            |(from, _): &mut (u64, Crash)| at >= *from && aim.as_mut().is_none_or(|aim| aim.hits(step));
        if let Some((_, crash)) = self.crash.take_if(is_time) {
            return Verdict::Crash(crash);
        }
        if kind == Kind::Grow && self.full.contains(&at) {
            self.fired += 1;
            return Verdict::Fail(Errno::ENOSPC);
        }
        let suits = |fault: DiskFault| match fault {
            DiskFault::Eio => true,
            DiskFault::Enospc => kind == Kind::Grow,
            DiskFault::LyingSync => kind == Kind::Sync,
        };
        let aimed = self
            .aimed
            .iter_mut()
            .position(|error| error.from <= at && suits(error.fault) && error.aim.hits(step));
        let fault = match aimed {
            Some(index) => self.aimed.remove(index).fault,
            None => match self.errors.iter().position(|(from, fault)| *from <= at && suits(*fault)) {
                Some(index) => self.errors.remove(index).1,
                None => return Verdict::Proceed,
            },
        };
        self.fired += 1;
        match fault {
            DiskFault::Eio => Verdict::Fail(Errno::EIO),
            DiskFault::Enospc => Verdict::Fail(Errno::ENOSPC),
            DiskFault::LyingSync => Verdict::FailAndForget,
        }
    }

    /// The number of operations so far.
    pub(crate) fn operations(&self) -> u64 {
        self.operations
    }

    /// The number of operations that failed so far.
    pub(crate) fn fired(&self) -> u64 {
        self.fired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_wait_for_an_operation_they_suit() {
        let mut faults = Faults::of(&Life {
            crash: Some((5, Crash::PowerLoss)),
            errors: vec![(1, DiskFault::LyingSync), (2, DiskFault::Enospc)],
            ..Life::default()
        });
        assert_eq!(faults.next(Kind::Grow, Step::Other), Verdict::Proceed);
        assert_eq!(faults.next(Kind::Sync, Step::Other), Verdict::FailAndForget);
        assert_eq!(faults.next(Kind::Other, Step::Other), Verdict::Proceed);
        assert_eq!(faults.next(Kind::Grow, Step::Other), Verdict::Fail(Errno::ENOSPC));
        assert_eq!(faults.next(Kind::Grow, Step::Other), Verdict::Crash(Crash::PowerLoss));
        assert_eq!(faults.next(Kind::Grow, Step::Other), Verdict::Proceed);
        assert_eq!((faults.operations(), faults.fired()), (6, 2));
    }

    #[test]
    fn aimed_faults_wait_for_their_step() {
        let aim = |step, nth| Aim { step, nth };
        let mut faults = Faults::of(&Life {
            crash: Some((2, Crash::Kill)),
            crash_aim: Some(aim(Step::LogSync, 2)),
            aimed: vec![AimedError { from: 2, aim: aim(Step::LogAppend, 1), fault: DiskFault::Enospc }],
            ..Life::default()
        });
        assert_eq!(faults.next(Kind::Grow, Step::LogAppend), Verdict::Proceed);
        assert_eq!(faults.next(Kind::Sync, Step::LogSync), Verdict::Proceed);
        assert_eq!(faults.next(Kind::Grow, Step::WalWrite), Verdict::Proceed);
        assert_eq!(faults.next(Kind::Grow, Step::LogAppend), Verdict::Fail(Errno::ENOSPC));
        assert_eq!(faults.next(Kind::Sync, Step::LogSync), Verdict::Crash(Crash::Kill));
    }
}
