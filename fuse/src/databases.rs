//! What the mount needs from the databases under it.
//!
//! The mount turns kernel requests into calls of these two traits and knows nothing else about databases. The store
//! implements them; tests of the mount implement them with plain files and with disks that fail on purpose.

use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use litefs_core::database::{JournalMode, Request};
use litefs_core::{DatabaseName, Errno, File, Position};

/// All databases of this node, and this node's part in the cluster.
pub trait Databases: Debug + Send + Sync + 'static {
    /// The database of this name, if the node has ever known one; its file may be missing because it was dropped.
    fn database(&self, name: &DatabaseName) -> Option<Arc<dyn DatabaseFiles>>;

    /// Every known database, in the byte order of the names.
    fn databases(&self) -> Vec<Arc<dyn DatabaseFiles>>;

    /// Creates the empty file of a database that is unknown or was dropped.
    ///
    /// # Errors
    /// What the program that creates the file shall see.
    fn create(&self, name: &DatabaseName) -> Result<Arc<dyn DatabaseFiles>, Errno>;

    /// Gives a database the name of another one, which is dropped if it exists.
    ///
    /// # Errors
    /// What the program that renames shall see; nothing has changed.
    fn rename(&self, from: &DatabaseName, to: &DatabaseName) -> Result<(), Errno>;

    /// The directory that holds files which are not databases. It belongs to the mount alone.
    fn local_dir(&self) -> &Path;

    /// Whether this node is the primary now.
    fn is_primary(&self) -> bool;

    /// The host name of the primary this node follows, or `None` where it is itself primary or knows none.
    fn primary_hostname(&self) -> Option<String>;

    /// How far this node is behind its primary, in milliseconds: 0 on the primary, `i32::MAX` before the first contact.
    fn lag_ms(&self) -> i64;
}

/// The files of one database.
pub trait DatabaseFiles: Debug + Send + Sync {
    /// The present name.
    fn name(&self) -> DatabaseName;

    /// Carries out a change, completely or not at all. Blocks; takes the database's own mutex.
    ///
    /// # Errors
    /// What the program that asked shall see.
    fn request(&self, request: Request<'_>) -> Result<(), Errno>;

    /// Reads up to `buf.len()` bytes at `offset`; fewer only at the end of the file. Never takes the mutex.
    ///
    /// # Errors
    /// [`Errno::ENOENT`] where the file is missing, else what the disk answered.
    fn read_at(&self, file: File, offset: u64, buf: &mut [u8]) -> Result<usize, Errno>;

    /// The length of `file` in bytes, `None` where it is missing.
    ///
    /// # Errors
    /// What the disk answered.
    fn len(&self, file: File) -> Result<Option<u64>, Errno>;

    /// A fresh read-write handle of the backing file. Never creates it.
    ///
    /// # Errors
    /// [`Errno::ENOENT`] where the file is missing, else what the disk answered.
    fn backing(&self, file: File) -> Result<fs::File, Errno>;

    /// Makes the file of the WAL at least `len` bytes long, if there is a WAL.
    ///
    /// # Errors
    /// What the disk answered.
    fn extend_wal(&self, len: u64) -> Result<(), Errno>;

    /// The last transaction.
    fn position(&self) -> Position;

    /// When the last transaction was committed, in milliseconds since 1970; 0 before the first.
    fn timestamp_ms(&self) -> i64;

    /// Pages of the database at [`position`](Self::position).
    fn page_count(&self) -> u32;

    /// How the database's header says that it is written.
    fn journal_mode(&self) -> JournalMode;

    /// Says whether somebody holds a handle of the database file whose writes the daemon does not see.
    fn set_unseen_writes(&self, unseen: bool);

    /// Whether a request has made the daemon itself write to the database file, so that what the kernel has of it is
    /// old. Asking clears it.
    fn take_overwritten(&self) -> bool;

    /// A program asked how long the database file is, which it reads and writes without the daemon.
    fn length_asked(&self);
}
