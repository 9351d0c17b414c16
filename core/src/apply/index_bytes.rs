use core::fmt::Debug;

use crate::Errno;

/// The bytes of a wal-index that every SQLite connection to the database has mapped.
///
/// Programs read them at any time, so writes reach the memory in the order of the calls, and each in ascending order.
pub trait IndexBytes: Debug {
    /// Blocks of 32 KiB there are.
    fn blocks(&self) -> usize;

    /// Makes room for at least `blocks` blocks; true when the file had to be grown for it.
    ///
    /// # Errors
    /// What the disk answered; what was there then stays.
    fn grow(&mut self, blocks: usize) -> Result<bool, Errno>;

    /// Reads from `offset`. It and the number of bytes are multiples of 2.
    ///
    /// # Errors
    /// What the system answered.
    fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Errno>;

    /// Writes at `offset`. It and the number of bytes are multiples of 2.
    ///
    /// # Errors
    /// What the system answered. No write succeeds from then on: whoever begins anew looks at what is there.
    fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), Errno>;
}
