use litefs_core::DatabaseName;
use litefs_core::ltx::DecodeError;

use super::frame_reader::StreamError;
use crate::ClientError;

/// Why the stream from the primary failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    /// The primary cannot be reached, or refuses.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What is at the other end has something else than a cluster id.
    #[error("the primary sent an invalid cluster id: {0}")]
    ClusterId(String),
    /// The stream broke, or is not one.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// An LTX file is damaged.
    #[error("the primary sent a damaged transaction of {database}: {error}")]
    Damaged {
        /// The database.
        database: DatabaseName,
        /// Where and how.
        error: DecodeError,
    },
}
