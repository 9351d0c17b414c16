use core::fmt::Debug;

use crate::{Errno, WriteAt};

/// A file of a database as it is stored, open for reading and writing.
///
/// What is written here is seen by programs once the kernel was told of it.
pub trait BackingFile: WriteAt + Debug {
    /// Bytes in the file.
    ///
    /// # Errors
    /// What the disk answered.
    fn len(&self) -> Result<u64, Errno>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// What the disk answered.
    fn is_empty(&self) -> Result<bool, Errno> {
        Ok(self.len()? == 0)
    }

    /// Cuts or extends the file to `len` bytes.
    ///
    /// # Errors
    /// What the disk answered.
    fn set_len(&self, len: u64) -> Result<(), Errno>;

    /// Has the disk set space aside for `len` bytes from `offset` on. The file does not get longer. A disk that cannot do
    /// so does nothing.
    ///
    /// # Errors
    /// What the disk answered; [`Errno::ENOSPC`] when it is full.
    fn set_space_aside(&self, offset: u64, len: u64) -> Result<(), Errno>;

    /// Makes the content durable, and the length as far as it is needed to read it.
    ///
    /// # Errors
    /// What the disk answered; nothing is known then of what was written since the last sync.
    fn sync_data(&self) -> Result<(), Errno>;

    /// As [`Self::sync_data`], and a length that got smaller too.
    ///
    /// # Errors
    /// What the disk answered; nothing is known then of what was written since the last sync.
    fn sync_all(&self) -> Result<(), Errno>;
}
