use std::io;
use std::time::Duration;

use litefs_core::DatabaseName;

use crate::body::SendError;

/// Why the stream to a replica was cut off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("cannot read {database}: {error}")]
    Read { database: DatabaseName, error: io::Error },
    #[error("the snapshot of {database} takes longer than {limit:?}")]
    TooSlow { database: DatabaseName, limit: Duration },
    #[error("this node stopped being the primary within a transaction of {database}")]
    Interrupted { database: DatabaseName },
    #[error("sending panicked")]
    Panic,
}
