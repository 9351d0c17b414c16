use core::fmt::Debug;
use core::ops::Range;

use super::{BackingFile, Clock, FileLocks, IndexBytes, Trouble};
use crate::{Errno, File};

/// The node around one database, as an [`Applier`](super::Applier) needs it: its files as programs see them in the
/// mount, the same files as they are stored, what the kernel knows of them, time and chance.
///
/// Only the database file, the journal, the WAL and the wal-index are asked for. Every method may wait for other
/// programs to go on. None may be called from a thread that serves the kernel.
pub trait System: Clock + Debug {
    /// A file that is open in the mount, where SQLite takes its locks. It is closed when dropped.
    type Locks: FileLocks;
    /// A file as it is stored. It is closed when dropped.
    type File: BackingFile;
    /// The bytes of the wal-index that programs have mapped.
    type Index: IndexBytes;

    /// Opens a file in the mount for reading and writing.
    ///
    /// # Errors
    /// [`Errno::ENOENT`] if it is missing; else what the system answered.
    fn open_in_mount(&self, file: File) -> Result<Self::Locks, Errno>;

    /// Creates the WAL or the wal-index in the mount, with the database's owner and mode as SQLite does, so that
    /// whoever may use the database may use it. Opens the one there is if somebody else was faster.
    ///
    /// # Errors
    /// What the system answered.
    fn create_in_mount(&self, file: File) -> Result<Self::Locks, Errno>;

    /// Opens a backing file for reading and writing.
    ///
    /// # Errors
    /// [`Errno::ENOENT`] if it is missing; else what the system answered.
    fn open_backing(&self, file: File) -> Result<Self::File, Errno>;

    /// Bytes in a backing file, `None` if it is missing.
    ///
    /// # Errors
    /// What the system answered.
    fn backing_len(&self, file: File) -> Result<Option<u64>, Errno>;

    /// Creates the backing database file, without content. The kernel is told by [`Self::created`].
    ///
    /// # Errors
    /// What the system answered, also if there is one.
    fn create_database(&self) -> Result<(), Errno>;

    /// Removes a backing file; false if it was missing. The kernel is told by [`Self::removed`].
    ///
    /// # Errors
    /// What the system answered.
    fn remove_backing(&self, file: File) -> Result<bool, Errno>;

    /// Which file the backing database is now, or `None` if there is none.
    ///
    /// # Errors
    /// What the system answered.
    fn database_identity(&self) -> Result<Option<FileIdentity>, Errno>;

    /// Opens the bytes of the wal-index, which is grown to one block where it is shorter.
    ///
    /// # Errors
    /// What the system answered; [`Errno::ENOSPC`] when the disk is full.
    fn open_index(&self) -> Result<Self::Index, Errno>;

    /// Cuts or extends the wal-index to `len` bytes. Nobody else uses it now.
    ///
    /// # Errors
    /// What the system answered.
    fn set_index_len(&self, len: u64) -> Result<(), Errno>;

    /// Makes durable what the log has of this database. What is written to the database file cannot be undone, so a loss
    /// of power must not take from the log what is in there.
    ///
    /// # Errors
    /// What the disk answered. The database has stopped then.
    fn sync_log(&self) -> Result<(), Errno>;

    /// Puts bytes that were just written to a backing file at `offset` into the kernel's cache, or has them forgotten
    /// there.
    ///
    /// # Errors
    /// What the kernel answered: readers may then see old data.
    fn store(&self, file: File, offset: u64, bytes: &[u8]) -> Result<(), Errno>;

    /// Has the kernel forget the bytes in `range` and the file's length. An end of `u64::MAX` means the rest of the file.
    ///
    /// # Errors
    /// What the kernel answered: readers may then see old data.
    fn invalidate(&self, file: File, range: Range<u64>) -> Result<(), Errno>;

    /// Has programs see the length that a backing file has got, from the moment this returns. They are still kept from
    /// reading there.
    ///
    /// # Errors
    /// What the system answered: readers may then miss a growth.
    fn resized(&self, file: File) -> Result<(), Errno>;

    /// Has programs see a file that was created in the backing directory.
    ///
    /// # Errors
    /// What the kernel answered: the file may then seem missing for a while.
    fn created(&self, file: File) -> Result<(), Errno>;

    /// Has the kernel forget the name of a file that is gone from the backing directory.
    ///
    /// # Errors
    /// What the kernel answered.
    fn removed(&self, file: File) -> Result<(), Errno>;

    /// A random number.
    ///
    /// # Errors
    /// What the system answered.
    fn random(&self) -> Result<u32, Errno>;

    /// Tells the operator.
    fn report(&self, trouble: Trouble<'_>);
}

/// Tells a file from another one that took its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileIdentity {
    /// The file system it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}
