use core::ops::Range;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use litefs_core::{Errno, File as Kind};

use super::shm_bytes::ShmBytes;
use super::{ApplyError, Files, Kernel, Paths};

/// Where the files are, and whom to tell of changes to them.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) paths: Paths,
    kernel: Box<dyn Kernel>,
}

impl Context {
    pub(super) fn new(paths: Paths, kernel: Box<dyn Kernel>) -> Self {
        Self { paths, kernel }
    }

    /// Opens a file of the mount, to lock it.
    pub(super) fn open_in_mount(&self, kind: Kind) -> Result<File, ApplyError> {
        open(path_of(&self.paths.mount, kind)).map_err(ApplyError::io("open in the mount", kind))
    }

    /// Opens the WAL or the wal-index in the mount and creates it where it is missing, with the database's owner and
    /// mode as SQLite does, so that whoever may use the database may use it.
    pub(super) fn open_or_create_in_mount(&self, kind: Kind) -> Result<File, ApplyError> {
        match open(path_of(&self.paths.mount, kind)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other.map_err(ApplyError::io("open in the mount", kind)),
        }
        self.create_in_mount(kind).map_err(ApplyError::io("create in the mount", kind))
    }

    fn create_in_mount(&self, kind: Kind) -> io::Result<File> {
        let database = fs::metadata(&self.paths.backing.database)?;
        let path = path_of(&self.paths.mount, kind);
        let file = match File::options().read(true).write(true).create_new(true).open(path) {
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return open(path),
            other => other?,
        };
        let found = file.metadata()?;
        if (found.uid(), found.gid()) != (database.uid(), database.gid()) {
            fchown(&file, Some(database.uid()), Some(database.gid()))?;
        }
        if found.mode() & MODE != database.mode() & MODE {
            file.set_permissions(Permissions::from_mode(database.mode() & MODE))?;
        }
        Ok(file)
    }

    /// Opens a backing file.
    pub(super) fn open_backing(&self, kind: Kind) -> Result<File, ApplyError> {
        open(path_of(&self.paths.backing, kind)).map_err(ApplyError::io("open", kind))
    }

    /// Opens the bytes of the wal-index that programs have mapped.
    pub(super) fn open_shm(&self) -> Result<ShmBytes, ApplyError> {
        let (place, mapped) = (self.shm_file()?, self.paths.maps_backing_shm);
        ShmBytes::new(place, mapped, 1).map_err(ApplyError::errno("grow", Kind::Shm))
    }

    /// Makes the wal-index one that nobody takes for valid.
    pub(super) fn reset_shm(&self) -> Result<(), ApplyError> {
        // The length that SQLite uses too: not empty, and too short.
        self.shm_file()?.set_len(3).map_err(ApplyError::io("truncate", Kind::Shm))?;
        self.invalidate(Kind::Shm, 0..u64::MAX)
    }

    fn shm_file(&self) -> Result<File, ApplyError> {
        if self.paths.maps_backing_shm { self.open_backing(Kind::Shm) } else { self.open_in_mount(Kind::Shm) }
    }

    /// Puts bytes that were written to a backing file into the kernel's cache, or has them forgotten there.
    pub(super) fn store(&self, kind: Kind, offset: u64, bytes: &[u8]) -> Result<(), ApplyError> {
        match self.kernel.store(kind, offset, bytes) {
            Ok(()) => Ok(()),
            Err(errno) => {
                tracing::debug!(%errno, ?kind, "cannot store in the kernel's cache, invalidating instead");
                self.invalidate(kind, offset..offset + bytes.len() as u64)
            }
        }
    }

    pub(super) fn invalidate(&self, kind: Kind, range: Range<u64>) -> Result<(), ApplyError> {
        self.kernel.invalidate(kind, range).map_err(ApplyError::errno("invalidate the cache of", kind))
    }

    /// Has programs see the length that a backing file has got. Call it while they are still kept from reading there.
    ///
    /// Telling the kernel that it is wrong about the length is not enough. When it asks for the new one on behalf of a
    /// program, another program that looks at the same time can still be shown the old one: the kernel marks what it
    /// knows as valid a moment before it stores the length. A byte put into its cache makes a file longer at once. One
    /// that got shorter may seem longer for that moment, which SQLite does not mind.
    pub(super) fn resized(&self, kind: Kind) -> Result<(), ApplyError> {
        self.kernel.resized(kind).map_err(ApplyError::errno("tell the kernel the size of", kind))?;
        let Some(last) = self.backing_len(kind)?.checked_sub(1) else { return Ok(()) };
        let mut byte = [0];
        self.open_backing(kind)?.read_exact_at(&mut byte, last).map_err(ApplyError::io("read", kind))?;
        self.store(kind, last, &byte)
    }

    /// Removes a backing file that may be missing.
    pub(super) fn remove(&self, kind: Kind) -> Result<(), ApplyError> {
        match fs::remove_file(path_of(&self.paths.backing, kind)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => {
                other.map_err(ApplyError::io("remove", kind))?;
                self.kernel
                    .removed(kind)
                    .map_err(ApplyError::errno("tell the kernel of the removal of", kind))
            }
        }
    }

    /// Which file the backing database is now, or `None` if there is none.
    pub(super) fn database_identity(&self) -> Result<Option<FileIdentity>, ApplyError> {
        match fs::metadata(&self.paths.backing.database) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other
                .map(|found| Some(FileIdentity { device: found.dev(), inode: found.ino() }))
                .map_err(ApplyError::io("look at", Kind::Database)),
        }
    }

    /// Creates the database file, without content, and lets programs see it.
    pub(super) fn create_database(&self) -> Result<Option<FileIdentity>, ApplyError> {
        File::options()
            .write(true)
            .create_new(true)
            .open(&self.paths.backing.database)
            .map_err(ApplyError::io("create", Kind::Database))?;
        self.kernel
            .created(Kind::Database)
            .map_err(ApplyError::errno("tell the kernel of", Kind::Database))?;
        self.database_identity()
    }

    /// Bytes in a backing file, none if it is missing.
    pub(super) fn backing_len(&self, kind: Kind) -> Result<u64, ApplyError> {
        match fs::metadata(path_of(&self.paths.backing, kind)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            other => other.map(|found| found.len()).map_err(ApplyError::io("look at", kind)),
        }
    }
}

/// Tells a file from another one that took its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

/// The bits of a file's mode that chmod changes.
const MODE: u32 = 0o777;

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}

fn path_of(files: &Files, kind: Kind) -> &Path {
    match kind {
        Kind::Journal => &files.journal,
        Kind::Wal => &files.wal,
        Kind::Shm => &files.shm,
        _ => &files.database,
    }
}

/// Random bytes, for the salts of a WAL.
pub(super) fn random() -> Result<u32, Errno> {
    let mut bytes = [0; 4];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Errno(error.raw_os_error()))?;
    if filled == bytes.len() { Ok(u32::from_le_bytes(bytes)) } else { Err(Errno::EAGAIN) }
}
