use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use litefs_core::apply::BackingFile;
use litefs_core::{Errno, ReadAt, WriteAt};
use rustix::fs::{FallocateFlags, fallocate};

use super::errno;

/// A file on the real disk.
#[derive(Debug)]
pub struct RealFile(Arc<File>);

impl RealFile {
    /// `file` is open for reading and, where it is to be changed, for writing.
    pub(crate) fn new(file: File) -> Self {
        Self(Arc::new(file))
    }
}

impl From<Arc<File>> for RealFile {
    fn from(file: Arc<File>) -> Self {
        Self(file)
    }
}

impl ReadAt for RealFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let mut filled = 0;
        while filled < buf.len() {
            match FileExt::read_at(&*self.0, &mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(errno(error)),
            }
        }
        Ok(filled)
    }
}

impl WriteAt for RealFile {
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        self.0.write_all_at(data, offset).map_err(errno)
    }
}

impl BackingFile for RealFile {
    fn len(&self) -> Result<u64, Errno> {
        Ok(self.0.metadata().map_err(errno)?.len())
    }

    fn set_len(&self, len: u64) -> Result<(), Errno> {
        self.0.set_len(len).map_err(errno)
    }

    fn set_space_aside(&self, offset: u64, len: u64) -> Result<(), Errno> {
        match fallocate(&self.0, FallocateFlags::KEEP_SIZE, offset, len) {
            // Not every file system can.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(Errno(error.raw_os_error())),
        }
    }

    fn sync_data(&self) -> Result<(), Errno> {
        self.0.sync_data().map_err(errno)
    }

    fn sync_all(&self) -> Result<(), Errno> {
        self.0.sync_all().map_err(errno)
    }
}
