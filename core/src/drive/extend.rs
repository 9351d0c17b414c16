//! Room in the WAL's file for frames that are yet to come.

use super::Driver;
use crate::{Disk, Errno, File};

impl<D: Disk> Driver<D> {
    /// Makes the file of the WAL at least `len` bytes long, if there is a WAL. The frames end where they ended before:
    /// zeros are no frame.
    ///
    /// # Errors
    /// What the disk answered.
    pub fn extend_wal(&mut self, len: u64) -> Result<(), Errno> {
        if self.database.wal_end().is_none() || self.disk.len(File::Wal)?.is_none_or(|found| found >= len) {
            return Ok(());
        }
        self.disk.set_len(File::Wal, len)
    }
}
