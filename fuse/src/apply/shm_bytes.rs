use core::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;

use litefs_core::Errno;
use litefs_core::apply::IndexBytes;
use litefs_core::sqlite::wal_index::BLOCK_BYTES;
use rustix::fs::FallocateFlags;

use super::shm_map::ShmMap;

/// The bytes of a wal-index that every SQLite connection to the database has mapped.
///
/// With passthrough that is the backing file, and it is mapped here too. Else it is the kernel's cache of the file in
/// the mount, which is read and written with calls: each write is a request to the daemon itself.
#[derive(Debug)]
pub struct ShmBytes {
    file: File,
    len: usize,
    map: Option<ShmMap>,
    /// A write failed, and whether its bytes are seen is not known.
    failed: Cell<bool>,
}

impl ShmBytes {
    /// Takes a file, which is grown to `blocks` blocks of 32 KiB where it is shorter, and used whole where longer.
    /// `mapped` says that it is a backing file that programs map.
    ///
    /// # Errors
    /// What the disk answered; [`Errno::ENOSPC`] rather than a signal later when it is full.
    pub(super) fn new(file: File, mapped: bool, blocks: usize) -> Result<Self, Errno> {
        let len = reserve(&file, blocks)?;
        let map = if mapped { Some(ShmMap::new(&file, len)?) } else { None };
        Ok(Self { file, len, map, failed: Cell::new(false) })
    }
}

impl IndexBytes for ShmBytes {
    fn blocks(&self) -> usize {
        self.len / BLOCK_BYTES
    }

    fn grow(&mut self, blocks: usize) -> Result<bool, Errno> {
        if blocks <= self.blocks() {
            return Ok(false);
        }
        let before = file_len(&self.file)?;
        let len = reserve(&self.file, blocks)?;
        if self.map.is_some() {
            self.map = Some(ShmMap::new(&self.file, len)?);
        }
        self.len = len;
        Ok(file_len(&self.file)? != before)
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Errno> {
        match &self.map {
            Some(map) => map.read(offset, bytes),
            None => self.file.read_exact_at(bytes, offset as u64).map_err(super::errno)?,
        }
        Ok(())
    }

    fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), Errno> {
        let Some(map) = &self.map else {
            if self.failed.get() {
                return Err(Errno::EIO);
            }
            let written = self.file.write_all_at(bytes, offset as u64).map_err(super::errno);
            self.failed.set(written.is_err());
            return written;
        };
        map.write(offset, bytes);
        Ok(())
    }
}

/// Makes a file at least `blocks` blocks long and answers with the bytes of its whole blocks.
fn reserve(file: &File, blocks: usize) -> Result<usize, Errno> {
    let found = usize::try_from(file_len(file)?).map_err(|_| Errno::EFBIG)?;
    let len = blocks.max(1).max(found / BLOCK_BYTES) * BLOCK_BYTES;
    if found < len {
        // A hole would be filled at the first store, and a full disk be told by SIGBUS.
        let allocated = rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len as u64);
        match allocated {
            // Not every file system can reserve space.
            Err(rustix::io::Errno::OPNOTSUPP) => {
                file.write_all_at(&vec![0; len - found], found as u64).map_err(super::errno)?;
            }
            other => other.map_err(|error| Errno(error.raw_os_error()))?,
        }
    }
    Ok(len)
}

fn file_len(file: &File) -> Result<u64, Errno> {
    Ok(file.metadata().map_err(super::errno)?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_reach_the_file_and_survive_growth() {
        for mapped in [true, false] {
            let file = tempfile::tempfile().unwrap();
            file.set_len(3).unwrap();
            let mut bytes = ShmBytes::new(file.try_clone().unwrap(), mapped, 1).unwrap();
            assert_eq!(bytes.blocks(), 1);
            bytes.write(8, &[7, 0]).unwrap();

            assert!(bytes.grow(3).unwrap());
            bytes.write(3 * BLOCK_BYTES - 2, &[9, 0]).unwrap();

            let mut found = [0; 4];
            file.read_exact_at(&mut found, 8).unwrap();
            assert_eq!(u32::from_le_bytes(found), 7);
            bytes.read(3 * BLOCK_BYTES - 4, &mut found).unwrap();
            assert_eq!(found, [0, 0, 9, 0]);
            assert!(!bytes.grow(2).unwrap());
        }
    }

    #[test]
    fn after_a_failed_write_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shm");
        std::fs::write(&path, vec![0; BLOCK_BYTES]).unwrap();
        let read_only = File::open(&path).unwrap();
        let mut bytes = ShmBytes::new(read_only, false, 1).unwrap();
        assert_eq!(bytes.write(0, &[1, 1]), Err(Errno::EBADF));
        bytes.file = File::options().read(true).write(true).open(&path).unwrap();
        assert_eq!(bytes.write(0, &[1, 1]), Err(Errno::EIO));
    }
}
