use crate::{Errno, ltx};

/// What makes an append fail.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk refused; nothing was added.
    #[error("cannot write the transaction log: {0}")]
    Disk(Errno),
    /// A page that must be in the WAL is not: the file was changed behind the daemon's back.
    #[error("page {page} ends early in the WAL's frame at byte {frame}: the file was changed from outside")]
    MissingFrame {
        /// The page.
        page: crate::PageNumber,
        /// Where its frame begins, in bytes.
        frame: u64,
    },
    /// The transaction breaks a rule of the format, which is a bug of this program.
    #[error("transaction cannot be encoded: {0}")]
    Encode(#[from] ltx::EncodeError),
}

impl AppendError {
    /// The error number a program may be told.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Disk(errno) => *errno,
            Self::MissingFrame { .. } | Self::Encode(_) => Errno::EIO,
        }
    }
}

impl From<Errno> for AppendError {
    fn from(errno: Errno) -> Self {
        Self::Disk(errno)
    }
}
