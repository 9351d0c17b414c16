use std::fmt;

/// What a database holds: the last transaction of a program in it, and how many there are. Without any it is the default.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// How many transactions there are.
    pub(crate) depth: i64,
    /// The number of the last one.
    pub(crate) number: i64,
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:x}", self.depth, self.number)
    }
}

/// One transaction of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// The number of the one before it in time.
    pub(crate) parent: i64,
    /// The number of the one whose content it changed: that before it, unless an older copy took the database's place.
    pub(crate) base: i64,
    /// How many there were in time up to this one.
    pub(crate) order: u64,
    /// How many the database has counted up to this one; 0 if this one removed the database.
    pub(crate) depth: i64,
    /// The machine of the program.
    pub(crate) machine: u8,
    /// Which tenure of a primary it was.
    pub(crate) epoch: usize,
    /// What its program was told.
    pub(crate) outcome: Outcome,
}

/// What became of a transaction, as its program was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The program was told nothing yet, or never.
    Unknown,
    /// Committed.
    Committed,
    /// Committed, and SQLite promised that a loss of power spares it.
    Durable,
    /// Not committed.
    Void,
}
