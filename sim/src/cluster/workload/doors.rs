use std::cell::Cell;

/// Who may have the databases of a machine open. Whoever changes files past SQLite first has everybody else close them.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    claimed: Cell<Option<u64>>,
}

impl Doors {
    /// Asks everybody but program `number` to leave. False if somebody else did so before.
    pub(super) fn claim(&self, number: u64) -> bool {
        if self.claimed.get().is_none() {
            self.claimed.set(Some(number));
        }
        self.claimed.get() == Some(number)
    }

    /// Lets everybody in again, if it was program `number` that did not.
    pub(super) fn release(&self, number: u64) {
        if self.claimed.get() == Some(number) {
            self.claimed.set(None);
        }
    }

    /// Whether program `number` must leave.
    pub(super) fn are_closed_to(&self, number: u64) -> bool {
        self.claimed.get().is_some_and(|other| other != number)
    }
}
