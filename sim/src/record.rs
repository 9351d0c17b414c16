use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use crate::rt;
use crate::topic::Topic;
use crate::trace::{Keep, Trace};

/// What a run leaves behind: its trace, the promises it saw broken, and how often each rare thing happened.
///
/// SQLite calls the simulator through C, where nothing may panic, so a broken promise is noted here. Each machine of a
/// cluster has a lane of its own.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    shared: Rc<Shared>,
    /// The number of the machine; 0 stands for none of them.
    lane: u8,
}

#[derive(Debug)]
struct Shared {
    trace: RefCell<Trace>,
    violations: RefCell<Vec<String>>,
    probes: RefCell<BTreeMap<&'static str, u64>>,
}

impl Record {
    /// Nothing happened yet.
    pub(crate) fn new(trace: Trace) -> Self {
        let shared =
            Shared { trace: RefCell::new(trace), violations: RefCell::default(), probes: RefCell::default() };
        Self { shared: Rc::new(shared), lane: 0 }
    }

    /// The same record, for what happens on one machine.
    pub(crate) fn of_machine(&self, lane: u8) -> Self {
        Self { shared: Rc::clone(&self.shared), lane }
    }

    /// The number of the machine.
    pub(crate) fn machine(&self) -> u8 {
        self.lane
    }

    /// Adds an event from inside of the daemon to the trace.
    pub(crate) fn event(&self, event: fmt::Arguments<'_>) {
        self.event_of(Topic::Work, event);
    }

    /// Adds an event of any kind to the trace.
    pub(crate) fn event_of(&self, topic: Topic, event: fmt::Arguments<'_>) {
        self.shared.trace.borrow_mut().record(rt::elapsed_ns(), self.lane, topic, event);
    }

    /// Notes a broken promise.
    pub(crate) fn violation(&self, what: String) {
        self.event_of(Topic::Violation, format_args!("{what}"));
        self.shared.violations.borrow_mut().push(what);
    }

    /// Counts something that must happen sometimes.
    pub(crate) fn probe(&self, name: &'static str) {
        *self.shared.probes.borrow_mut().entry(name).or_default() += 1;
    }

    /// Whether something has happened that [`Self::probe`] counts.
    pub(crate) fn saw(&self, name: &str) -> bool {
        self.shared.probes.borrow().contains_key(name)
    }

    /// Whether a promise was broken.
    pub(crate) fn is_violated(&self) -> bool {
        !self.shared.violations.borrow().is_empty()
    }

    /// The trace, the broken promises and the counts. Whoever still has the record begins a new one.
    pub(crate) fn take(&self) -> (Trace, Vec<String>, BTreeMap<&'static str, u64>) {
        let Shared { trace, violations, probes } = &*self.shared;
        (trace.replace(Trace::new(Keep::Latest)), violations.take(), probes.take())
    }
}
