//! Locks on byte ranges that belong to the open file (open file description locks of Linux).
//!
//! SQLite's own locks are POSIX record locks. Both kinds conflict with each other in the kernel, but only these
//! survive the closing of another handle of the same file in the same process, which the daemon does all the time.

use std::fs::File;
use std::os::fd::AsFd;

use litefs_core::Errno;
use litefs_core::apply::{FileLocks, LockKind, LockRange};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// A file of the mount that is open for its locks.
#[derive(Debug)]
pub struct OfdLocks(File);

impl OfdLocks {
    /// `file` is open for reading and writing.
    pub(super) fn new(file: File) -> Self {
        Self(file)
    }
}

impl FileLocks for OfdLocks {
    fn try_lock(&self, range: LockRange, kind: LockKind) -> Result<bool, Errno> {
        let kind = match kind {
            LockKind::Read => libc::F_RDLCK,
            LockKind::Write => libc::F_WRLCK,
        };
        match fcntl(self.0.as_fd(), FcntlArg::F_OFD_SETLK(&flock(range, kind)?)) {
            Ok(_) => Ok(true),
            Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
            Err(error) => Err(Errno(error as i32)),
        }
    }

    fn unlock(&self, range: LockRange) -> Result<(), Errno> {
        fcntl(self.0.as_fd(), FcntlArg::F_OFD_SETLK(&flock(range, libc::F_UNLCK)?))
            .map(drop)
            .map_err(|error| Errno(error as i32))
    }

    fn release(&self, range: LockRange) {
        if let Err(errno) = self.unlock(range) {
            // Nothing can be done here, and closing the file ends the lock too.
            tracing::error!(%errno, ?range, "cannot release a lock");
        }
    }

    fn is_locked_by_others(&self, range: LockRange) -> Result<bool, Errno> {
        let mut lock = flock(range, libc::F_WRLCK)?;
        fcntl(self.0.as_fd(), FcntlArg::F_OFD_GETLK(&mut lock)).map_err(|error| Errno(error as i32))?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }
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

    fn two_handles() -> (tempfile::TempDir, OfdLocks, OfdLocks) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let open =
            || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        let (one, two) = (OfdLocks::new(open()), OfdLocks::new(open()));
        (dir, one, two)
    }

    #[test]
    fn write_lock_excludes_other_open_files_of_the_same_process() {
        let (_dir, one, two) = two_handles();
        assert!(one.try_lock(RANGE, LockKind::Write).unwrap());
        assert!(!two.try_lock(LockRange::new(121, 1), LockKind::Read).unwrap());
        assert!(two.try_lock(LockRange::new(122, 1), LockKind::Write).unwrap());
        assert!(two.is_locked_by_others(RANGE).unwrap());
        assert!(!one.is_locked_by_others(RANGE).unwrap());
        one.release(RANGE);
        assert!(!two.is_locked_by_others(RANGE).unwrap());
    }

    #[test]
    fn failed_upgrade_keeps_the_read_lock() {
        let (_dir, one, two) = two_handles();
        assert!(one.try_lock(RANGE, LockKind::Read).unwrap());
        assert!(two.try_lock(RANGE, LockKind::Read).unwrap());
        assert!(!one.try_lock(RANGE, LockKind::Write).unwrap());
        two.unlock(RANGE).unwrap();
        assert!(!two.try_lock(RANGE, LockKind::Write).unwrap());
        assert!(one.try_lock(RANGE, LockKind::Write).unwrap());
    }
}
