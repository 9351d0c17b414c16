use core::ops::Range;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;
use std::time::Duration;

use litefs_core::apply::{Clock, FileIdentity, System, Trouble};
use litefs_core::{Errno, File as Kind, ReadAt};
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::time::{ClockId, clock_gettime};

use super::{Files, Kernel, OfdLocks, Paths, RealFile, ShmBytes, errno};

/// The files of one database on this node, and the kernel that shows them to programs.
#[derive(Debug)]
pub struct RealSystem {
    paths: Paths,
    kernel: Box<dyn Kernel>,
}

impl RealSystem {
    /// For the database at `paths`, which need not exist yet. Nothing is opened before it is needed.
    pub fn new(paths: Paths, kernel: Box<dyn Kernel>) -> Self {
        Self { paths, kernel }
    }

    /// Opens a file of the mount.
    pub(super) fn open_file_in_mount(&self, kind: Kind) -> Result<File, Errno> {
        open(path_of(&self.paths.mount, kind)).map_err(errno)
    }

    fn create_file_in_mount(&self, kind: Kind) -> io::Result<File> {
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

    fn index_file(&self) -> Result<File, Errno> {
        if self.paths.maps_backing_shm {
            open(path_of(&self.paths.backing, Kind::Shm)).map_err(errno)
        } else {
            self.open_file_in_mount(Kind::Shm)
        }
    }
}

impl Clock for RealSystem {
    fn elapsed(&self) -> Duration {
        let now = clock_gettime(ClockId::Monotonic);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

impl System for RealSystem {
    type Locks = OfdLocks;
    type File = RealFile;
    type Index = ShmBytes;

    fn open_in_mount(&self, file: Kind) -> Result<OfdLocks, Errno> {
        self.open_file_in_mount(file).map(OfdLocks::new)
    }

    fn create_in_mount(&self, file: Kind) -> Result<OfdLocks, Errno> {
        self.create_file_in_mount(file).map(OfdLocks::new).map_err(errno)
    }

    fn open_backing(&self, file: Kind) -> Result<RealFile, Errno> {
        open(path_of(&self.paths.backing, file)).map(RealFile::new).map_err(errno)
    }

    fn backing_len(&self, file: Kind) -> Result<Option<u64>, Errno> {
        found(fs::metadata(path_of(&self.paths.backing, file)).map(|metadata| metadata.len()))
    }

    fn create_database(&self) -> Result<(), Errno> {
        let created = File::options().write(true).create_new(true).open(&self.paths.backing.database);
        created.map(drop).map_err(errno)
    }

    fn remove_backing(&self, file: Kind) -> Result<bool, Errno> {
        Ok(found(fs::remove_file(path_of(&self.paths.backing, file)))?.is_some())
    }

    fn database_identity(&self) -> Result<Option<FileIdentity>, Errno> {
        let metadata = fs::metadata(&self.paths.backing.database);
        found(metadata.map(|metadata| FileIdentity { device: metadata.dev(), inode: metadata.ino() }))
    }

    fn open_index(&self) -> Result<ShmBytes, Errno> {
        ShmBytes::new(self.index_file()?, self.paths.maps_backing_shm, 1)
    }

    fn set_index_len(&self, len: u64) -> Result<(), Errno> {
        self.index_file()?.set_len(len).map_err(errno)
    }

    fn sync_log(&self) -> Result<(), Errno> {
        self.kernel.sync_log()
    }

    fn store(&self, file: Kind, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        match self.kernel.store(file, offset, bytes) {
            Ok(()) => Ok(()),
            Err(errno) => {
                tracing::debug!(%errno, ?file, "cannot store in the kernel's cache, invalidating instead");
                self.invalidate(file, offset..offset + bytes.len() as u64)
            }
        }
    }

    fn invalidate(&self, file: Kind, range: Range<u64>) -> Result<(), Errno> {
        self.kernel.invalidate(file, range)
    }

    /// Telling the kernel that it is wrong about the length is not enough. When it asks for the new one on behalf of a
    /// program, another program that looks at the same time can still be shown the old one: the kernel marks what it
    /// knows as valid a moment before it stores the length. A byte put into its cache makes a file longer at once. One
    /// that got shorter may seem longer for that moment, which SQLite does not mind.
    fn resized(&self, file: Kind) -> Result<(), Errno> {
        self.kernel.resized(file)?;
        let Some(last) = self.backing_len(file)?.unwrap_or(0).checked_sub(1) else { return Ok(()) };
        let mut byte = [0];
        if self.open_backing(file)?.read_at(last, &mut byte)? < byte.len() {
            return Err(Errno::EIO);
        }
        self.store(file, last, &byte)
    }

    fn created(&self, file: Kind) -> Result<(), Errno> {
        self.kernel.created(file)
    }

    fn removed(&self, file: Kind) -> Result<(), Errno> {
        self.kernel.removed(file)
    }

    fn random(&self) -> Result<u32, Errno> {
        let mut bytes = [0; 4];
        let filled =
            getrandom(&mut bytes, GetRandomFlags::empty()).map_err(|error| Errno(error.raw_os_error()))?;
        if filled == bytes.len() { Ok(u32::from_le_bytes(bytes)) } else { Err(Errno::EAGAIN) }
    }

    fn report(&self, trouble: Trouble<'_>) {
        tracing::error!(database = ?self.paths.backing.database, "{trouble}");
    }
}

/// The bits of a file's mode that chmod changes.
const MODE: u32 = 0o777;

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}

/// A file that is missing is an answer.
fn found<T>(result: io::Result<T>) -> Result<Option<T>, Errno> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(errno),
    }
}

fn path_of(files: &Files, kind: Kind) -> &Path {
    match kind {
        Kind::Journal => &files.journal,
        Kind::Wal => &files.wal,
        Kind::Shm => &files.shm,
        _ => &files.database,
    }
}
