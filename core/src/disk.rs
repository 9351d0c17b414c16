//! The seam between the machines and a disk: the files of one database.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::{Errno, ReadAt};

/// One file of a database's directory. The core has no paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    /// The main database file.
    Database,
    /// The rollback journal.
    Journal,
    /// The write-ahead log.
    Wal,
    /// The wal-index. Disposable: rebuilt from the WAL by whoever opens the database first.
    Shm,
    /// A segment of the transaction log, named by the first transaction it can hold.
    Segment(u64),
    /// The page checksums, saved now and then so that opening does not read the database.
    Sums,
    /// The page checksums while they are being written.
    SumsNew,
    /// An empty file that exists while the database file may hold changes that were made without a journal and that
    /// the log does not have.
    Unjournaled,
}

/// Reads of a database's files. Reading changes nothing, so machines do it directly.
pub trait View {
    /// Reads up to `buf.len()` bytes at `offset`; fewer at the end of the file, none where it is missing.
    ///
    /// # Errors
    /// What the disk answered.
    fn read_at(&self, file: File, offset: u64, buf: &mut [u8]) -> Result<usize, Errno>;

    /// The length of `file` in bytes, `None` where it is missing.
    ///
    /// # Errors
    /// What the disk answered.
    fn len(&self, file: File) -> Result<Option<u64>, Errno>;

    /// The numbers of the log's segments, ascending.
    ///
    /// # Errors
    /// What the disk answered.
    fn segments(&self) -> Result<Vec<u64>, Errno>;
}

/// Changes of a database's files. Only the drive loop calls these, in the order the effects say.
///
/// Every call is a point where the machine can lose power: what was not synced may then be there, in part or not
/// at all.
pub trait Disk: View {
    /// Writes all of `data` at `offset`, creating the file where it is missing.
    ///
    /// # Errors
    /// What the disk answered; any part of `data` from its start may have been written, but not all of it.
    fn write_at(&self, file: File, offset: u64, data: &[u8]) -> Result<(), Errno>;

    /// Cuts or extends `file` to `len` bytes, creating it where it is missing.
    ///
    /// # Errors
    /// What the disk answered.
    fn set_len(&self, file: File, len: u64) -> Result<(), Errno>;

    /// Makes the content and length of `file` durable. A missing file is a success.
    ///
    /// # Errors
    /// What the disk answered; afterwards nothing is known about what had been written since the last sync.
    fn sync(&self, file: File) -> Result<(), Errno>;

    /// Removes `file`. A missing file is a success.
    ///
    /// # Errors
    /// What the disk answered.
    fn remove(&self, file: File) -> Result<(), Errno>;

    /// Gives `from` the name of `to`, replacing it in one step.
    ///
    /// # Errors
    /// What the disk answered.
    fn rename(&self, from: File, to: File) -> Result<(), Errno>;

    /// Makes created, removed and renamed files of the directory durable.
    ///
    /// # Errors
    /// What the disk answered.
    fn sync_directory(&self) -> Result<(), Errno>;
}

/// One file of a view, to read a format from.
pub(crate) struct FileView<'a, V: ?Sized> {
    pub(crate) view: &'a V,
    pub(crate) file: File,
}

impl<V: View + ?Sized> ReadAt for FileView<'_, V> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        self.view.read_at(self.file, offset, buf)
    }
}

impl<T: View + ?Sized> View for Arc<T> {
    fn read_at(&self, file: File, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        (**self).read_at(file, offset, buf)
    }

    fn len(&self, file: File) -> Result<Option<u64>, Errno> {
        (**self).len(file)
    }

    fn segments(&self) -> Result<Vec<u64>, Errno> {
        (**self).segments()
    }
}

impl<T: Disk + ?Sized> Disk for Arc<T> {
    fn write_at(&self, file: File, offset: u64, data: &[u8]) -> Result<(), Errno> {
        (**self).write_at(file, offset, data)
    }

    fn set_len(&self, file: File, len: u64) -> Result<(), Errno> {
        (**self).set_len(file, len)
    }

    fn sync(&self, file: File) -> Result<(), Errno> {
        (**self).sync(file)
    }

    fn remove(&self, file: File) -> Result<(), Errno> {
        (**self).remove(file)
    }

    fn rename(&self, from: File, to: File) -> Result<(), Errno> {
        (**self).rename(from, to)
    }

    fn sync_directory(&self) -> Result<(), Errno> {
        (**self).sync_directory()
    }
}
