use core::fmt;

use super::ApplyError;

/// What went wrong where nobody could be answered with an error, and the operator has to know.
#[derive(Clone, Copy, Debug)]
pub enum Trouble<'a> {
    /// The applier lets go of a database file that it wrote in part. The log has the rest.
    HalfWritten,
    /// The applier ends, and what it applied could not be synced.
    NotSynced(&'a ApplyError),
    /// A commit that could not be shown to readers could not be taken back either.
    CommitLeft(&'a ApplyError),
}

impl fmt::Display for Trouble<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HalfWritten => f.write_str("the database file is left half written"),
            Self::NotSynced(error) => write!(f, "applied transactions may not be durable: {error}"),
            Self::CommitLeft(error) => write!(
                f,
                "cannot take back an unpublished commit, it will be seen after the next recovery: {error}"
            ),
        }
    }
}
