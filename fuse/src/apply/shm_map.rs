use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU16, AtomicU32};
use std::fs::File;

use litefs_core::Errno;
use litefs_core::sqlite::wal_index::BLOCK_BYTES;
use rustix::fs::FallocateFlags;
use rustix::mm::{MapFlags, ProtFlags};

/// A wal-index file in memory, shared with every SQLite connection that has it mapped.
///
/// Map the backing file: a mapping of the daemon's own mount would keep the mount busy and the daemon from exiting.
/// All access is atomic, because other processes read and write the same bytes at the same time.
#[derive(Debug)]
pub(super) struct ShmMap {
    file: File,
    base: NonNull<c_void>,
    len: usize,
}

// SAFETY: the mapping is not tied to a thread, and everything inside is accessed through atomics only.
unsafe impl Send for ShmMap {}

impl ShmMap {
    /// Maps `file`, which is grown to `blocks` blocks of 32 KiB where it is shorter, and mapped whole where longer.
    ///
    /// # Errors
    /// What the disk answered; [`Errno::ENOSPC`] rather than a signal later when it is full.
    pub(super) fn new(file: File, blocks: usize) -> Result<Self, Errno> {
        let (base, len) = map(&file, blocks)?;
        Ok(Self { file, base, len })
    }

    /// Blocks of 32 KiB in the mapping.
    pub(super) fn blocks(&self) -> usize {
        self.len / BLOCK_BYTES
    }

    /// Makes room for at least `blocks` blocks; true when the file had to be grown for it.
    ///
    /// # Errors
    /// What the disk answered; the old mapping then stays.
    pub(super) fn grow(&mut self, blocks: usize) -> Result<bool, Errno> {
        if blocks <= self.blocks() {
            return Ok(false);
        }
        let before = self.file_len()?;
        let (base, len) = map(&self.file, blocks)?;
        self.unmap();
        (self.base, self.len) = (base, len);
        Ok(self.file_len()? != before)
    }

    /// The 32-bit word at `offset` bytes, a multiple of 4.
    pub(super) fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(
            offset.is_multiple_of(4) && offset + 4 <= self.len,
            "word {offset} is outside of {} bytes",
            self.len
        );
        // SAFETY: inside of the mapping and aligned by the assertion, and `self` keeps the mapping alive. The file is
        // never shorter than the mapping: SQLite truncates it only under an exclusive lock on the byte that every
        // user of a wal-index, the owner of this value included, holds a shared lock on.
        unsafe { AtomicU32::from_ptr(self.base.as_ptr().byte_add(offset).cast()) }
    }

    /// The 16-bit word at `offset` bytes, a multiple of 2.
    pub(super) fn half_word(&self, offset: usize) -> &AtomicU16 {
        assert!(
            offset.is_multiple_of(2) && offset + 2 <= self.len,
            "half word {offset} is outside of {} bytes",
            self.len
        );
        // SAFETY: as in `word`.
        unsafe { AtomicU16::from_ptr(self.base.as_ptr().byte_add(offset).cast()) }
    }

    fn file_len(&self) -> Result<u64, Errno> {
        Ok(self.file.metadata().map_err(super::errno)?.len())
    }

    fn unmap(&mut self) {
        // SAFETY: `base` and `len` are what mmap returned and was asked for, no reference into it outlives `&mut self`,
        // and both callers replace or drop them at once.
        if let Err(error) = unsafe { rustix::mm::munmap(self.base.as_ptr(), self.len) } {
            tracing::error!(%error, "cannot unmap a wal-index");
        }
    }
}

impl Drop for ShmMap {
    fn drop(&mut self) {
        self.unmap();
    }
}

fn map(file: &File, blocks: usize) -> Result<(NonNull<c_void>, usize), Errno> {
    let found = usize::try_from(file.metadata().map_err(super::errno)?.len()).map_err(|_| Errno::EFBIG)?;
    let len = blocks.max(1).max(found / BLOCK_BYTES) * BLOCK_BYTES;
    if found < len {
        // A hole would be filled at the first store, and a full disk be told by SIGBUS.
        let allocated = rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len as u64);
        match allocated {
            Err(rustix::io::Errno::OPNOTSUPP) => fill(file, found, len)?,
            other => other.map_err(|error| Errno(error.raw_os_error()))?,
        }
    }
    // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing of ours.
    let base = unsafe {
        rustix::mm::mmap(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0)
    }
    .map_err(|error| Errno(error.raw_os_error()))?;
    Ok((NonNull::new(base).ok_or(Errno::ENOMEM)?, len))
}

/// Extends the file with written zeros, for file systems that cannot reserve space.
fn fill(file: &File, from: usize, to: usize) -> Result<(), Errno> {
    use std::os::unix::fs::FileExt;
    file.write_all_at(&vec![0; to - from], from as u64).map_err(super::errno)
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn stores_reach_the_file_and_survive_growth() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3).unwrap();
        let mut map = ShmMap::new(file.try_clone().unwrap(), 1).unwrap();
        assert_eq!(map.blocks(), 1);
        map.word(8).store(7, Ordering::Relaxed);

        assert!(map.grow(3).unwrap());
        map.half_word(3 * BLOCK_BYTES - 2).store(9, Ordering::Relaxed);

        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, 8).unwrap();
        assert_eq!(u32::from_le_bytes(bytes), 7);
        file.read_exact_at(&mut bytes[..2], (3 * BLOCK_BYTES - 2) as u64).unwrap();
        assert_eq!(bytes[0], 9);
        assert!(!map.grow(2).unwrap());
    }

    #[test]
    #[should_panic(expected = "outside of 32768 bytes")]
    fn access_beyond_the_mapping_is_stopped() {
        ShmMap::new(tempfile::tempfile().unwrap(), 1).unwrap().word(BLOCK_BYTES);
    }
}
