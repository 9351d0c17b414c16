use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// How often segments came and went. Begins at 1, because it is unknown what an earlier process left unsynced.
    segment_changes: AtomicU64,
    /// How many of those changes are durable.
    segment_changes_synced: AtomicU64,
}

impl RealDisk {
    /// The directory at `directory`, which exists.
    pub fn new(directory: PathBuf) -> Self {
        Self::with_access(directory, true)
    }

    /// A database's directory, to be looked at only: nothing in it is created or opened for writing.
    pub fn view(directory: PathBuf) -> impl View {
        Self::with_access(directory, false)
    }

    fn with_access(directory: PathBuf, writable: bool) -> Self {
        Self {
            directory,
            writable,
            handles: Mutex::new(BTreeMap::new()),
            segment_changes: AtomicU64::new(1),
            segment_changes_synced: AtomicU64::new(0),
        }
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
                self.note_name(file);
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

    /// A name has come or gone.
    fn note_name(&self, file: File) {
        if matches!(file, File::Segment(_)) {
            self.segment_changes.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// How often segments came and went so far, if not all of that is durable.
    fn unsynced_segment_changes(&self) -> Option<u64> {
        let changes = self.segment_changes.load(Ordering::Acquire);
        (self.segment_changes_synced.load(Ordering::Acquire) < changes).then_some(changes)
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
            _ => {
                self.note_name(file);
                Ok(())
            }
        }
    }

    fn rename(&self, from: File, to: File) -> Result<(), Errno> {
        self.forget(from);
        self.forget(to);
        fs::rename(self.path(from), self.path(to)).map_err(|error| errno(&error))
    }

    fn sync_directory(&self) -> Result<(), Errno> {
        sync_directory(&self.directory)?;
        // A commit in rollback mode syncs a directory for its journal, and a sync for nothing costs as much as any.
        let log = self.directory.join("log");
        if let Some(changes) = self.unsynced_segment_changes()
            && log.is_dir()
        {
            sync_directory(&log)?;
            // No more than were there before: others may have come since.
            self.segment_changes_synced.fetch_max(changes, Ordering::AcqRel);
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_the_log_is_synced_after_a_segment_came_or_went_and_only_then() {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(directory.path().to_path_buf());
        let is_synced = || disk.unsynced_segment_changes().is_none();

        disk.set_len(File::Segment(1), 0).unwrap();
        assert!(!is_synced());
        disk.sync_directory().unwrap();
        assert!(is_synced());

        disk.set_len(File::Journal, 0).unwrap();
        disk.write_at(File::Segment(1), 0, b"LFSLOG01").unwrap();
        assert!(is_synced());

        disk.remove(File::Segment(1)).unwrap();
        assert!(!is_synced());
        disk.sync_directory().unwrap();
        assert!(is_synced());
    }

    #[test]
    fn what_an_earlier_process_left_in_the_log_is_synced() {
        let directory = tempfile::tempdir().unwrap();
        RealDisk::new(directory.path().to_path_buf()).set_len(File::Segment(1), 0).unwrap();
        let disk = RealDisk::new(directory.path().to_path_buf());
        assert!(disk.unsynced_segment_changes().is_some());
    }
}
