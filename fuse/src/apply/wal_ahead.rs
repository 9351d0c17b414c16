//! Having the kernel take pages of the WAL into its cache before a program writes them.

use core::ops::Range;
use std::os::unix::fs::FileExt;

use litefs_core::{Errno, File as Kind};
use rustix::fs::{FallocateFlags, fallocate};

use super::ApplyError;
use super::applier::Applier;

/// Bytes that are read at a time.
const PIECE: usize = 128 << 10;

impl Applier {
    /// Makes the file of the WAL at least as long as the end of `range`, in bytes, and has the kernel read what is in
    /// the range. Programs may write to it meanwhile: the kernel keeps the two apart.
    ///
    /// # Errors
    /// What the kernel or the disk answered. The WAL is as good as before.
    pub fn read_wal_ahead(&self, range: &Range<u64>) -> Result<(), ApplyError> {
        let wal = self.context.open_in_mount(Kind::Wal)?;
        fallocate(&wal, FallocateFlags::empty(), 0, range.end)
            .map_err(|error| ApplyError::errno("extend", Kind::Wal)(Errno(error.raw_os_error())))?;
        let mut piece = vec![0; PIECE];
        let mut at = range.start;
        while at < range.end {
            match wal.read_at(&mut piece, at).map_err(ApplyError::io("read in the mount", Kind::Wal))? {
                0 => break,
                count => at += count as u64,
            }
        }
        Ok(())
    }
}
