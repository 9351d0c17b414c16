//! Faults as a person reads them: what, where, and for how long.

use std::fmt;
use std::time::Duration;

use super::plan::{FaultKind, Plan};
use crate::plan::{Crash, DiskFault};
use crate::trace::LEASE_SERVICE;

impl FaultKind {
    /// The machines that it befalls, the lease service being one.
    pub fn machines(&self) -> Vec<u8> {
        match *self {
            Self::Crash { machine, .. }
            | Self::Stop { machine, .. }
            | Self::Freeze { machine, .. }
            | Self::Isolate { machine, .. }
            | Self::Reset { machine }
            | Self::ClockJump { machine, .. }
            | Self::DiskFull { machine, .. }
            | Self::DiskError { machine, .. }
            | Self::Wipe { machine, .. } => vec![machine],
            Self::Cut { one, other, .. } => vec![one, other],
            Self::LeaseDown { .. } | Self::LeaseMute { .. } | Self::LeaseExpired => vec![LEASE_SERVICE],
        }
    }

    /// Whether a machine stands still meanwhile.
    pub fn is_freeze(&self) -> bool {
        matches!(self, Self::Freeze { .. })
    }

    /// How long it lasts from its beginning, if that is a matter of time. How long a machine then stays away is not meant.
    pub fn duration(&self) -> Option<Duration> {
        match *self {
            Self::Freeze { duration, .. }
            | Self::Isolate { duration, .. }
            | Self::Cut { duration, .. }
            | Self::LeaseDown { duration }
            | Self::LeaseMute { duration } => Some(duration),
            _ => None,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = |crash| match crash {
            Crash::Kill => "all processes are killed",
            Crash::PowerLoss => "the power goes",
        };
        match *self {
            Self::Crash { machine, crash, operation: 0, down } => {
                write!(f, "n{machine}: {}, back after {down:?}", how(crash))
            }
            Self::Crash { machine, crash, operation, down } => {
                write!(f, "n{machine}: {} in disk operation {operation}, back after {down:?}", how(crash))
            }
            Self::Stop { machine, down } => {
                write!(f, "n{machine}: the daemon is stopped, back after {down:?}")
            }
            Self::Freeze { machine, duration } => write!(f, "n{machine}: frozen for {duration:?}"),
            Self::Isolate { machine, inbound, outbound, duration } => {
                let what = match (inbound, outbound) {
                    (true, true) => "cut off",
                    (true, false) => "hears nothing",
                    (false, true) => "is not heard",
                    (false, false) => "not cut off at all",
                };
                write!(f, "n{machine}: {what} for {duration:?}")
            }
            Self::Cut { one, other, duration } => {
                write!(f, "n{one} and n{other}: cut off from each other for {duration:?}")
            }
            Self::Reset { machine } => write!(f, "n{machine}: all connections are reset"),
            Self::LeaseDown { duration } => {
                write!(f, "lease service: does not answer for {duration:?}")
            }
            Self::LeaseMute { duration } => {
                write!(f, "lease service: its answers are lost for {duration:?}")
            }
            Self::LeaseExpired => f.write_str("lease service: forgets who is primary"),
            Self::ClockJump { machine, by_ms } => {
                write!(f, "n{machine}: the wall clock jumps by {by_ms} ms")
            }
            Self::DiskFull { machine, operations } => {
                write!(f, "n{machine}: the disk is full for {operations} operations")
            }
            Self::DiskError { machine, operation, fault } => {
                let what = match fault {
                    DiskFault::Eio => "fails",
                    DiskFault::Enospc => "finds no space",
                    DiskFault::LyingSync => "fails, and the next sync lies",
                };
                write!(f, "n{machine}: disk operation {operation} {what}")
            }
            Self::Wipe { machine, down } => {
                write!(f, "n{machine}: the disk is lost, back after {down:?}")
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:#?}", Self { faults: Vec::new(), ..self.clone() })?;
        if self.faults.is_empty() {
            return f.write_str("No faults.");
        }
        write!(f, "Faults:")?;
        for fault in &self.faults {
            write!(f, "\n{:>7} ms  {}", fault.at.as_millis(), fault.kind)?;
        }
        Ok(())
    }
}
