use core::fmt;
use core::ops::Range;

use litefs_core::{Errno, File};

/// What the kernel must be told about changes that were made to backing files behind its back.
///
/// An inode or name that the kernel does not know is a success: then it has nothing to forget. A file whose handles
/// bypass the daemon has no cached data, so for it only the length matters.
pub trait Kernel: fmt::Debug + Send {
    /// Puts `bytes`, which were just written at `offset`, into the cache. Large ones are sent in pieces.
    ///
    /// # Errors
    /// What the kernel answered. The caller then falls back to [`Kernel::invalidate`].
    fn store(&self, file: File, offset: u64, bytes: &[u8]) -> Result<(), Errno>;

    /// Forgets the cached bytes in `range` and the file's length. An end of `u64::MAX` means the rest of the file.
    ///
    /// # Errors
    /// What the kernel answered: readers may then see old data.
    fn invalidate(&self, file: File, range: Range<u64>) -> Result<(), Errno>;

    /// Forgets the file's length, but no data.
    ///
    /// # Errors
    /// What the kernel answered: readers may then miss a growth.
    fn resized(&self, file: File) -> Result<(), Errno>;

    /// Makes the database's log durable.
    ///
    /// # Errors
    /// What the disk answered.
    fn sync_log(&self) -> Result<(), Errno>;

    /// Forgets that the file's name did not exist: the file is in the backing directory now.
    ///
    /// # Errors
    /// What the kernel answered: the file may then seem missing for a while.
    fn created(&self, file: File) -> Result<(), Errno>;

    /// Forgets the file's name, which is gone from the backing directory.
    ///
    /// # Errors
    /// What the kernel answered.
    fn removed(&self, file: File) -> Result<(), Errno>;
}
