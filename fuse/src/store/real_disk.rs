use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use litefs_core::{Disk, Errno, File, View};

/// A database's directory on the real disk.
///
/// Handles are opened when they are first needed and kept, so that the path of a commit has no `open` in it.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
    writable: bool,
    handles: Mutex<BTreeMap<File, Arc<fs::File>>>,
}

impl RealDisk {
    /// The directory at `directory`, which exists.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, writable: true, handles: Mutex::new(BTreeMap::new()) }
    }

    /// A database's directory, to be looked at only: nothing in it is created or opened for writing.
    pub fn view(directory: PathBuf) -> impl View {
        Self { directory, writable: false, handles: Mutex::new(BTreeMap::new()) }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a file is or would be.
    pub fn path(&self, file: File) -> PathBuf {
        match file {
            File::Database => self.directory.join("database"),
            File::Journal => self.directory.join("journal"),
            File::Wal => self.directory.join("wal"),
            File::Shm => self.directory.join("shm"),
            File::Segment(number) => self.directory.join("log").join(format!("{number:016x}.seg")),
            File::Sums => self.directory.join("sums"),
            File::SumsNew => self.directory.join("sums.new"),
            File::Unjournaled => self.directory.join("unjournaled"),
        }
    }

    /// A handle of a file, or `None` if the file is missing.
    ///
    /// # Errors
    /// What the system answered.
    pub fn existing(&self, file: File) -> Result<Option<Arc<fs::File>>, Errno> {
        if let Some(handle) = self.kept(file) {
            return Ok(Some(handle));
        }
        match fs::File::options().read(true).write(self.writable).open(self.path(file)) {
            Ok(handle) => Ok(Some(self.keep(file, handle))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(errno(&error)),
        }
    }

    fn created(&self, file: File) -> Result<Arc<fs::File>, Errno> {
        if let Some(handle) = self.kept(file) {
            return Ok(handle);
        }
        let mut options = fs::File::options();
        options.read(true).write(true);
        let handle = match options.clone().create_new(true).open(self.path(file)) {
            Ok(handle) => {
                if file == File::Database {
                    // A program that creates a database in the mount sets its mode next. One that comes from the
                    // primary is everybody's, as in LiteFS, or its program could not write to it after a promotion.
                    handle.set_permissions(Permissions::from_mode(0o666)).map_err(|error| errno(&error))?;
                }
                handle
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                options.open(self.path(file)).map_err(|error| errno(&error))?
            }
            Err(error) => return Err(errno(&error)),
        };
        Ok(self.keep(file, handle))
    }

    fn kept(&self, file: File) -> Option<Arc<fs::File>> {
        self.handles().get(&file).cloned()
    }

    fn keep(&self, file: File, handle: fs::File) -> Arc<fs::File> {
        let handle = Arc::new(handle);
        let mut handles = self.handles();
        if let File::Segment(number) = file {
            // Only the newest segment is written to; readers of older ones come and go.
            handles.retain(|kept, _| !matches!(kept, File::Segment(older) if *older < number));
        }
        handles.insert(file, Arc::clone(&handle));
        handle
    }

    /// Closes the kept handle of a file.
    pub(super) fn forget(&self, file: File) {
        self.handles().remove(&file);
    }

    fn handles(&self) -> std::sync::MutexGuard<'_, BTreeMap<File, Arc<fs::File>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View for RealDisk {
    fn read_at(&self, file: File, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let Some(handle) = self.existing(file)? else { return Ok(0) };
        let mut filled = 0;
        while filled < buf.len() {
            match handle.read_at(&mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(errno(&error)),
            }
        }
        Ok(filled)
    }

    fn len(&self, file: File) -> Result<Option<u64>, Errno> {
        let metadata = match self.kept(file) {
            Some(handle) => handle.metadata(),
            None => fs::metadata(self.path(file)),
        };
        match metadata {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(errno(&error)),
        }
    }

    fn segments(&self) -> Result<Vec<u64>, Errno> {
        let entries = match fs::read_dir(self.directory.join("log")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(errno(&error)),
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| errno(&error))?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
            numbers.extend(number.and_then(|digits| u64::from_str_radix(digits, 16).ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

impl Disk for RealDisk {
    fn write_at(&self, file: File, offset: u64, data: &[u8]) -> Result<(), Errno> {
        self.created(file)?.write_all_at(data, offset).map_err(|error| errno(&error))
    }

    fn set_len(&self, file: File, len: u64) -> Result<(), Errno> {
        if matches!(file, File::Segment(_)) {
            fs::create_dir_all(self.directory.join("log")).map_err(|error| errno(&error))?;
        }
        self.created(file)?.set_len(len).map_err(|error| errno(&error))
    }

    fn sync(&self, file: File) -> Result<(), Errno> {
        match self.existing(file)? {
            Some(handle) => handle.sync_data().map_err(|error| errno(&error)),
            None => Ok(()),
        }
    }

    fn remove(&self, file: File) -> Result<(), Errno> {
        self.forget(file);
        match fs::remove_file(self.path(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(errno(&error)),
            _ => Ok(()),
        }
    }

    fn rename(&self, from: File, to: File) -> Result<(), Errno> {
        self.forget(from);
        self.forget(to);
        fs::rename(self.path(from), self.path(to)).map_err(|error| errno(&error))
    }

    fn sync_directory(&self) -> Result<(), Errno> {
        sync_directory(&self.directory)?;
        let log = self.directory.join("log");
        if log.is_dir() { sync_directory(&log) } else { Ok(()) }
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), Errno> {
    fs::File::open(path).and_then(|directory| directory.sync_all()).map_err(|error| errno(&error))
}

/// The error number in an I/O error; EIO for the few that the standard library makes up itself.
pub(super) fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno)
}

/// The I/O error with this error number.
pub(super) fn os_error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.0)
}
