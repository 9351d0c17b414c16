use crate::{Checksum, Errno, Position};

/// Why a database no longer takes changes until the node is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// The log could not be made durable, so it is not known what is on disk.
    #[error(
        "the transaction log could not be synced ({0}); restart the node to recover from what is on disk"
    )]
    LogSync(Errno),
    /// The transaction is in the log but the program's own commit could not be finished.
    #[error(
        "a logged transaction could not be finished in the database ({0}); restart the node to finish it"
    )]
    Unfinished(Errno),
    /// A received transaction is in the log but its pages could not be written.
    #[error("a received transaction could not be applied ({0}); restart the node to apply it from the log")]
    Unapplied(Errno),
    /// The database on disk is not what the log says.
    #[error(
        "the database has checksum {found} and should be at {position}: it was damaged or changed from outside; restore it \
         from a replica or a backup"
    )]
    Content {
        /// The last transaction.
        position: Position,
        /// The checksum of what is on disk.
        found: Checksum,
    },
}
