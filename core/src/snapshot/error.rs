use crate::ltx::EncodeError;
use crate::{Errno, PageNumber, Position};

/// Why a database cannot be read as it was. Another image of it may well be readable.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SnapshotError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] Errno),
    /// A page has changed, and its content from before was not kept.
    #[error("page {page} is not what it was at {position}")]
    Lost {
        /// The page.
        page: PageNumber,
        /// The position of the image.
        position: Position,
    },
    /// The pages are not those of a database.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}
