//! Locks on byte ranges that belong to the open file (open file description locks of Linux).
//!
//! SQLite's own locks are POSIX record locks. Both kinds conflict with each other in the kernel, but only these
//! survive the closing of another handle of the same file in the same process, which the daemon does all the time.

use std::fs::File;
use std::os::fd::AsFd;

use litefs_core::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// Bytes of a file that a lock covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct LockRange {
    /// The first byte.
    pub(super) start: u64,
    /// How many bytes, at least 1.
    pub(super) len: u64,
}

impl LockRange {
    /// The range of `len` bytes from `start` on.
    pub(super) const fn new(start: u64, len: u64) -> Self {
        Self { start, len }
    }
}

/// Whether others may hold the same kind of lock at the same time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LockKind {
    /// Others may read-lock too. Needs a handle open for reading.
    Read,
    /// Nobody else may hold any lock. Needs a handle open for writing.
    Write,
}

/// A lock that ends with the value. For a lock that lives as long as its file, call [`try_lock`] and close the file.
#[derive(Debug)]
pub(super) struct OfdLock<'f> {
    file: &'f File,
    range: LockRange,
}

impl<'f> OfdLock<'f> {
    /// The lock, or `None` when another open file holds one in conflict with it.
    ///
    /// # Errors
    /// What the kernel answered, other than a conflict.
    pub(super) fn acquire(file: &'f File, range: LockRange, kind: LockKind) -> Result<Option<Self>, Errno> {
        Ok(try_lock(file, range, kind)?.then_some(Self { file, range }))
    }
}

impl Drop for OfdLock<'_> {
    fn drop(&mut self) {
        if let Err(errno) = unlock(self.file, self.range) {
            // Nothing can be done here, and closing the file ends the lock too.
            tracing::error!(%errno, range = ?self.range, "cannot release a lock");
        }
    }
}

/// Takes a lock on the whole range at once, or changes the kind of those held there; false when another open file
/// holds one in conflict, and then nothing has changed.
///
/// # Errors
/// What the kernel answered, other than a conflict.
pub(super) fn try_lock(file: &File, range: LockRange, kind: LockKind) -> Result<bool, Errno> {
    let kind = match kind {
        LockKind::Read => libc::F_RDLCK,
        LockKind::Write => libc::F_WRLCK,
    };
    match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&flock(range, kind)?)) {
        Ok(_) => Ok(true),
        Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
        Err(error) => Err(Errno(error as i32)),
    }
}

/// Gives up whatever this open file has locked in the range.
///
/// # Errors
/// What the kernel answered.
pub(super) fn unlock(file: &File, range: LockRange) -> Result<(), Errno> {
    fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&flock(range, libc::F_UNLCK)?))
        .map(drop)
        .map_err(|error| Errno(error as i32))
}

/// Whether [`try_lock`] for writing would fail now. Takes nothing.
///
/// # Errors
/// What the kernel answered.
pub(super) fn is_locked_by_others(file: &File, range: LockRange) -> Result<bool, Errno> {
    let mut lock = flock(range, libc::F_WRLCK)?;
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut lock)).map_err(|error| Errno(error as i32))?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

fn flock(range: LockRange, kind: i32) -> Result<libc::flock, Errno> {
    let offset = |bytes: u64| libc::off_t::try_from(bytes).map_err(|_| Errno::EOVERFLOW);
    Ok(libc::flock {
        l_type: i16::try_from(kind).map_err(|_| Errno::EINVAL)?,
        l_whence: i16::try_from(libc::SEEK_SET).map_err(|_| Errno::EINVAL)?,
        l_start: offset(range.start)?,
        l_len: offset(range.len)?,
        // The kernel insists on zero here for locks of this kind.
        l_pid: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: LockRange = LockRange::new(120, 2);

    fn two_handles() -> (tempfile::TempDir, File, File) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let open =
            || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        let (one, two) = (open(), open());
        (dir, one, two)
    }

    #[test]
    fn write_lock_excludes_other_open_files_of_the_same_process() {
        let (_dir, one, two) = two_handles();
        let lock = OfdLock::acquire(&one, RANGE, LockKind::Write).unwrap().unwrap();
        assert!(!try_lock(&two, LockRange::new(121, 1), LockKind::Read).unwrap());
        assert!(try_lock(&two, LockRange::new(122, 1), LockKind::Write).unwrap());
        assert!(is_locked_by_others(&two, RANGE).unwrap());
        assert!(!is_locked_by_others(&one, RANGE).unwrap());
        drop(lock);
        assert!(!is_locked_by_others(&two, RANGE).unwrap());
    }

    #[test]
    fn failed_upgrade_keeps_the_read_lock() {
        let (_dir, one, two) = two_handles();
        assert!(try_lock(&one, RANGE, LockKind::Read).unwrap());
        assert!(try_lock(&two, RANGE, LockKind::Read).unwrap());
        assert!(!try_lock(&one, RANGE, LockKind::Write).unwrap());
        unlock(&two, RANGE).unwrap();
        assert!(!try_lock(&two, RANGE, LockKind::Write).unwrap());
        assert!(try_lock(&one, RANGE, LockKind::Write).unwrap());
    }
}
