//! Having the kernel take pages of the WAL into its cache before a program writes them.

use core::ops::Range;
use std::os::unix::fs::FileExt;

use litefs_core::apply::ApplyError;
use litefs_core::{Errno, File as Kind};
use rustix::fs::{FallocateFlags, fallocate};

use super::{RealSystem, errno};

/// Bytes that are read at a time.
const PIECE: usize = 128 << 10;

impl RealSystem {
    /// Makes the file of the WAL at least as long as the end of `range`, in bytes, and has the kernel read what is in
    /// the range. Programs may write to it meanwhile: the kernel keeps the two apart.
    ///
    /// # Errors
    /// What the kernel or the disk answered. The WAL is as good as before.
    pub fn read_wal_ahead(&self, range: &Range<u64>) -> Result<(), ApplyError> {
        let failed = |action| move |errno| ApplyError::Io { action, file: Kind::Wal, errno };
        let wal = self.open_file_in_mount(Kind::Wal).map_err(failed("open in the mount"))?;
        fallocate(&wal, FallocateFlags::empty(), 0, range.end)
            .map_err(|error| failed("extend")(Errno(error.raw_os_error())))?;
        let mut piece = vec![0; PIECE];
        let mut at = range.start;
        while at < range.end {
            match wal.read_at(&mut piece, at).map_err(errno).map_err(failed("read in the mount"))? {
                0 => break,
                count => at += count as u64,
            }
        }
        Ok(())
    }
}
