use std::path::PathBuf;

/// Where the files of one database are in one directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Files {
    /// The database file.
    pub database: PathBuf,
    /// The rollback journal.
    pub journal: PathBuf,
    /// The write-ahead log.
    pub wal: PathBuf,
    /// The wal-index.
    pub shm: PathBuf,
}

/// The files of one database as programs see them and as the daemon stores them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Paths {
    /// In the mount. Opened for locks only, and for the wal-index where it is in the kernel's cache.
    pub mount: Files,
    /// On the real disk. All other data is read and written here.
    pub backing: Files,
    /// Whether programs that map the wal-index in the mount map the backing file, as they do with passthrough. Else they
    /// map the kernel's cache of the file in the mount.
    pub maps_backing_shm: bool,
}
