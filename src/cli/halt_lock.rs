use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{F_UNLCK, F_WRLCK, SEEK_SET, flock};

use super::parent;

/// The byte of a lock file that stands for the halt lock.
const HALT_BYTE: i64 = 72;

/// Holds back all writers of a database in the whole cluster but those on this node, until it is dropped.
#[derive(Debug)]
pub(super) struct HaltLock {
    file: File,
}

impl HaltLock {
    /// Waits until the lock of the database at `path` in a mount is ours.
    pub(super) fn acquire(path: &Path) -> anyhow::Result<Self> {
        let exists = path.try_exists().with_context(|| format!("cannot look at {}", path.display()))?;
        anyhow::ensure!(exists, "database does not exist: {}", path.display());
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push("-lock");
        let lock_path = PathBuf::from(lock_path);
        let file = OpenOptions::new().read(true).write(true).open(&lock_path).with_context(|| {
            let directory = parent(path).display();
            format!("lock file not available, are you sure \"{directory}\" is a LiteFS mount?")
        })?;
        // A lock of the open file, not of the process: it does not end when some other part closes the file.
        loop {
            match fcntl(&file, FcntlArg::F_OFD_SETLKW(&halt_byte(F_WRLCK))) {
                Ok(_) => return Ok(Self { file }),
                Err(Errno::EINTR) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot lock {}", lock_path.display()));
                }
            }
        }
    }
}

impl Drop for HaltLock {
    fn drop(&mut self) {
        // Closing the file releases the lock as well, unless a program that we started holds it open.
        if let Err(error) = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&halt_byte(F_UNLCK))) {
            eprintln!("cannot release the halt lock: {error}");
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the constants are small")]
fn halt_byte(kind: i32) -> flock {
    flock { l_type: kind as i16, l_whence: SEEK_SET as i16, l_start: HALT_BYTE, l_len: 1, l_pid: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_excludes_others_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        std::fs::write(&path, "").unwrap();
        std::fs::write(dir.path().join("app.db-lock"), "").unwrap();
        let other = OpenOptions::new().write(true).open(dir.path().join("app.db-lock")).unwrap();
        let try_lock = || fcntl(&other, FcntlArg::F_OFD_SETLK(&halt_byte(F_WRLCK)));

        let lock = HaltLock::acquire(&path).unwrap();
        assert_eq!(try_lock(), Err(Errno::EAGAIN));
        drop(lock);
        assert_eq!(try_lock(), Ok(0));
    }

    #[test]
    fn what_is_not_a_database_in_a_mount_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        let error = HaltLock::acquire(&path).unwrap_err().to_string();
        assert_eq!(error, format!("database does not exist: {}", path.display()));

        std::fs::write(&path, "").unwrap();
        let error = HaltLock::acquire(&path).unwrap_err().to_string();
        let expected =
            format!("lock file not available, are you sure \"{}\" is a LiteFS mount?", dir.path().display());
        assert_eq!(error, expected);
    }
}
