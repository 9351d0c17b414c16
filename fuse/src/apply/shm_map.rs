use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::fs::File;

use litefs_core::Errno;
use rustix::mm::{MapFlags, ProtFlags};

/// A wal-index file in memory, shared with every SQLite connection that has it mapped.
///
/// All access is atomic, because other processes read and write the same bytes at the same time.
#[derive(Debug)]
pub(super) struct ShmMap {
    base: NonNull<c_void>,
    len: usize,
}

// SAFETY: the mapping is not tied to a thread, and everything inside is accessed through atomics only.
unsafe impl Send for ShmMap {}

impl ShmMap {
    /// Maps the first `len` bytes of a file that has them. It must not be a file of the daemon's own mount.
    ///
    /// # Errors
    /// What the system answered.
    pub(super) fn new(file: &File, len: usize) -> Result<Self, Errno> {
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing of ours.
        let base = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                file,
                0,
            )
        }
        .map_err(|error| Errno(error.raw_os_error()))?;
        Ok(Self { base: NonNull::new(base).ok_or(Errno::ENOMEM)?, len })
    }

    /// Reads from `offset`, word by word. It and the number of bytes are multiples of 2.
    pub(super) fn read(&self, offset: usize, bytes: &mut [u8]) {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = word_len(at, rest.len());
            let (word, after) = rest.split_at_mut(len);
            if len == 4 {
                word.copy_from_slice(&self.word(at).load(Ordering::Acquire).to_le_bytes());
            } else {
                word.copy_from_slice(&self.half_word(at).load(Ordering::Acquire).to_le_bytes());
            }
            (at, rest) = (at + len, after);
        }
    }

    /// Writes at `offset`, word by word in ascending order. A word that is right already is not touched: a store makes
    /// all who read near it wait. Offset and number of bytes are multiples of 2.
    pub(super) fn write(&self, offset: usize, bytes: &[u8]) {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = word_len(at, rest.len());
            let (word, after) = rest.split_at(len);
            if let Some(word) = word.as_array() {
                let (place, word) = (self.word(at), u32::from_le_bytes(*word));
                if place.load(Ordering::Relaxed) != word {
                    place.store(word, Ordering::Release);
                }
            } else if let Some(word) = word.as_array() {
                let (place, word) = (self.half_word(at), u16::from_le_bytes(*word));
                if place.load(Ordering::Relaxed) != word {
                    place.store(word, Ordering::Release);
                }
            }
            (at, rest) = (at + len, after);
        }
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
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

    fn half_word(&self, offset: usize) -> &AtomicU16 {
        assert!(
            offset.is_multiple_of(2) && offset + 2 <= self.len,
            "half word {offset} is outside of {} bytes",
            self.len
        );
        // SAFETY: as in `word`.
        unsafe { AtomicU16::from_ptr(self.base.as_ptr().byte_add(offset).cast()) }
    }
}

impl Drop for ShmMap {
    fn drop(&mut self) {
        // SAFETY: `base` and `len` are what mmap returned and was asked for, and no reference into it outlives `self`.
        if let Err(error) = unsafe { rustix::mm::munmap(self.base.as_ptr(), self.len) } {
            tracing::error!(%error, "cannot unmap a wal-index");
        }
    }
}

/// Bytes of the word that can be accessed at `offset`, of `len` bytes that are left.
fn word_len(offset: usize, len: usize) -> usize {
    if offset.is_multiple_of(4) && len >= 4 { 4 } else { 2 }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn bytes_of_any_alignment_reach_the_file_and_come_back() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64).unwrap();
        let map = ShmMap::new(&file, 64).unwrap();
        map.write(2, &[1, 2, 3, 4, 5, 6, 7, 8]);

        let mut found = [0; 12];
        file.read_exact_at(&mut found, 0).unwrap();
        assert_eq!(found, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0]);
        let mut found = [0; 6];
        map.read(4, &mut found);
        assert_eq!(found, [3, 4, 5, 6, 7, 8]);
    }

    #[test]
    #[should_panic(expected = "outside of 64 bytes")]
    fn access_beyond_the_mapping_is_stopped() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64).unwrap();
        ShmMap::new(&file, 64).unwrap().write(64, &[0; 4]);
    }
}
