use crate::{Errno, ReadAt};

/// A file that can be read and written at any place.
pub trait WriteAt: ReadAt {
    /// Writes all of `data` at `offset`. A file that ends before it gets longer, with zeros in between.
    ///
    /// # Errors
    /// What the disk answered; any part of `data` may have been written.
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), Errno>;
}
