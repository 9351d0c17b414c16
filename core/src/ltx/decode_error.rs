use super::{HeaderError, Lz4FrameError, PageSequenceError, PostApplyError};
use crate::Checksum;

/// Why bytes are not an LTX file, and where.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("at byte {offset} of the LTX file: {fault}")]
pub struct DecodeError {
    /// Where the wrong part begins in the file, in bytes. Of a page that was compressed, where the block ends that it
    /// was in.
    pub offset: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with an LTX file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The header is wrong.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The compressed page block cannot be read.
    #[error(transparent)]
    Lz4(#[from] Lz4FrameError),
    /// A page cannot stand where it does.
    #[error(transparent)]
    Page(#[from] PageSequenceError),
    /// The compressed page block ends without the mark that ends the pages.
    #[error("the compressed pages end within a page")]
    EndedInPages,
    /// The compressed page block goes on after the mark that ends the pages.
    #[error("the compressed pages go on after their end mark")]
    AfterPages,
    /// The checksum of the database cannot be one.
    #[error(transparent)]
    PostApply(#[from] PostApplyError),
    /// The file is damaged.
    #[error("file checksum {found}, the content gives {computed}")]
    FileChecksum {
        /// The checksum in the trailer.
        found: Checksum,
        /// The checksum of the file.
        computed: Checksum,
    },
    /// The pages of a snapshot are not the database that it says it is.
    #[error("post-apply checksum {found}, the pages of the snapshot give {computed}")]
    SnapshotChecksum {
        /// The checksum in the trailer.
        found: Checksum,
        /// The checksum of the pages.
        computed: Checksum,
    },
    /// The database would grow by more than its pages can account for.
    #[error("{pages} pages make a database of {after} pages of one of {before}")]
    Growth {
        /// Pages in the file.
        pages: usize,
        /// Pages of the database before it.
        before: u32,
        /// Pages of the database after it.
        after: u32,
    },
    /// There are bytes after the trailer.
    #[error("the file goes on after its trailer")]
    AfterTrailer,
    /// The file ends too early.
    #[error("the file ends here, before its trailer is complete")]
    Truncated,
}
