use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How the last program of the list ended, and what that means for the exit code of this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MainExit {
    /// It returned this code.
    Code(u8),
    /// A signal of this number ended it.
    Signal(i32),
}

impl MainExit {
    pub(super) fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            // The system hands on the low eight bits only.
            (Some(code), _) => Self::Code(code as u8),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Code(1),
        }
    }

    /// The exit code when the program ended by itself: its own, or 1 if a signal ended it.
    pub(crate) fn code_by_itself(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(_) => 1,
        }
    }

    /// The exit code when the program ended because a signal was handed on to it: its own, or 0 if the signal ended it.
    pub(crate) fn code_after_forwarding(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(_) => 0,
        }
    }
}

/// `successfully`, `with error code N` or `by signal N`, to be put behind `subprocess exited`.
impl fmt::Display for MainExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(0) => f.write_str("successfully"),
            Self::Code(code) => write!(f, "with error code {code}"),
            Self::Signal(signal) => write!(f, "by signal {signal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_the_program_becomes_our_own() {
        for code in [0, 1, 7, 255] {
            let exit = MainExit::of(ExitStatus::from_raw(i32::from(code) << 8));
            assert_eq!(exit, MainExit::Code(code));
            assert_eq!((exit.code_by_itself(), exit.code_after_forwarding()), (code, code));
        }
    }

    #[test]
    fn death_by_signal_is_clean_only_if_we_sent_it() {
        let exit = MainExit::of(ExitStatus::from_raw(15));
        assert_eq!(exit, MainExit::Signal(15));
        assert_eq!((exit.code_by_itself(), exit.code_after_forwarding()), (1, 0));
    }
}
