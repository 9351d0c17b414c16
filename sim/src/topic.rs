use rusqlite::ErrorCode;

/// What an event of a trace is about, with what a machine has to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Something goes wrong, or all is healed.
    Fault,
    /// A machine is something else from now on.
    Role(Standing),
    /// Somebody who operates the machine would be told.
    Note,
    /// A database has a transaction of a program.
    Commit(At),
    /// A database has a transaction of its primary.
    Apply(At),
    /// A database is open after its recovery.
    Open(At),
    /// Something leaves a machine.
    Sent(Message),
    /// Something arrives at a machine.
    Received(Message),
    /// Who is primary from now on, as the lease service sees it.
    Lease(Option<Lease>),
    /// What the program was told.
    Statement(Answer),
    /// An operation on a disk.
    Disk,
    /// What goes on inside of the daemon.
    Work,
    /// A promise is broken.
    Violation,
}

/// What a machine of a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing runs on it.
    Down,
    /// Its daemon knows no primary.
    Searching,
    /// Its daemon follows a primary.
    Replica,
    /// Its daemon is the primary.
    Primary,
}

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The database.
    pub database: String,
    /// Its last transaction.
    pub txid: u64,
}

/// The right to be primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The machine that has it.
    pub machine: u8,
    /// Until when, in virtual nanoseconds, if it is not renewed.
    pub until_ns: u64,
}

/// What goes from one machine to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sends it.
    pub from: u8,
    /// For whom it is.
    pub to: u8,
    /// What it is.
    pub letter: Letter,
    /// What tells it from others of its sort between the two.
    pub number: u64,
}

/// Sorts of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    /// A question to the lease service.
    LeaseRequest,
    /// Its answer.
    LeaseReply,
    /// A replica wants to follow.
    Connect,
    /// A whole database.
    Snapshot,
    /// One transaction.
    Transaction,
}

/// What a program hears of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Ok,
    /// Somebody else is at work.
    Busy,
    /// It failed.
    Failed,
}

impl Answer {
    /// What a program makes of the result of a statement.
    pub(crate) fn of<T>(result: &Result<T, rusqlite::Error>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Self::Busy,
            Err(_) => Self::Failed,
        }
    }
}

impl Topic {
    /// In one word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Role(_) => "role",
            Self::Note => "note",
            Self::Commit(_) => "commit",
            Self::Apply(_) => "apply",
            Self::Open(_) => "open",
            Self::Sent(_) => "sent",
            Self::Received(_) => "received",
            Self::Lease(_) => "lease",
            Self::Statement(_) => "statement",
            Self::Disk => "disk",
            Self::Work => "work",
            Self::Violation => "violation",
        }
    }
}

impl Standing {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Searching => "searching",
            Self::Replica => "replica",
            Self::Primary => "primary",
        }
    }
}

impl Letter {
    /// In a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeaseRequest => "lease request",
            Self::LeaseReply => "lease reply",
            Self::Connect => "connect",
            Self::Snapshot => "snapshot",
            Self::Transaction => "transaction",
        }
    }
}
