use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use crate::rt;
use crate::trace::Trace;

/// What a run leaves behind: its trace, the promises it saw broken, and how often each rare thing happened.
///
/// SQLite calls the simulator through C, where nothing may panic, so a broken promise is noted here.
#[derive(Debug)]
pub(crate) struct Record {
    trace: RefCell<Trace>,
    violations: RefCell<Vec<String>>,
    probes: RefCell<BTreeMap<&'static str, u64>>,
}

impl Record {
    /// Nothing happened yet.
    pub(crate) fn new(aloud: bool) -> Self {
        Self {
            trace: RefCell::new(Trace::new(aloud)),
            violations: RefCell::default(),
            probes: RefCell::default(),
        }
    }

    /// Adds an event to the trace.
    pub(crate) fn event(&self, event: fmt::Arguments<'_>) {
        self.trace.borrow_mut().record(rt::elapsed_ns(), event);
    }

    /// Notes a broken promise.
    pub(crate) fn violation(&self, what: String) {
        self.event(format_args!("VIOLATION {what}"));
        self.violations.borrow_mut().push(what);
    }

    /// Counts something that must happen sometimes.
    pub(crate) fn probe(&self, name: &'static str) {
        *self.probes.borrow_mut().entry(name).or_default() += 1;
    }

    /// Whether something has happened that [`Self::probe`] counts.
    pub(crate) fn saw(&self, name: &str) -> bool {
        self.probes.borrow().contains_key(name)
    }

    /// Whether a promise was broken.
    pub(crate) fn is_violated(&self) -> bool {
        !self.violations.borrow().is_empty()
    }

    /// The trace, the broken promises and the counts.
    pub(crate) fn into_parts(self) -> (Trace, Vec<String>, BTreeMap<&'static str, u64>) {
        (self.trace.into_inner(), self.violations.into_inner(), self.probes.into_inner())
    }
}
