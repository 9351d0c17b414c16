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
    /// In the mount. Opened for locks only, and to see what length programs see.
    pub mount: Files,
    /// On the real disk. All data is read and written here.
    pub backing: Files,
    /// The wal-index to map: the backing one, except where the mount cannot pass its mappings through to the backing
    /// file. Such a mapping of the daemon's own mount must be gone before unmounting: detach first.
    pub shm_to_map: PathBuf,
}
