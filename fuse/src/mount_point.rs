//! The state of a mount point before mounting, and taking mounts away.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::mount::UnmountFlags;

use crate::device::SOURCE;
use crate::mount_error::MountError;

/// Makes sure that the mount point is a directory nothing of ours is mounted on, and returns its absolute path.
pub(crate) fn prepare(path: &Path, skip_unmount: bool) -> Result<PathBuf, MountError> {
    let unusable = |source| MountError::Unusable { path: path.to_owned(), source };
    let absolute = std::path::absolute(path).map_err(unusable)?;
    if is_dead(&absolute)? {
        if skip_unmount {
            return Err(MountError::Stale { path: absolute });
        }
        tracing::warn!("unmounting {}, left over from a litefs that has died", absolute.display());
        unmount(&absolute, UnmountFlags::DETACH)
            .map_err(|source| MountError::Unmount { path: absolute.clone(), source })?;
    }
    match fs::metadata(&absolute) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(MountError::NotADirectory { path: absolute }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(&absolute)
                .map_err(|source| MountError::Create { path: absolute.clone(), source })?;
        }
        Err(source) if source.kind() == io::ErrorKind::NotADirectory => {
            return Err(MountError::Create { path: absolute, source });
        }
        Err(source) => return Err(unusable(source)),
    }
    let path = absolute.canonicalize().map_err(unusable)?;
    let mounts = fs::read("/proc/self/mountinfo").map_err(unusable)?;
    if is_litefs(&mounts, &path) {
        return Err(MountError::InUse { path });
    }
    if let Some(Ok(entry)) = fs::read_dir(&path).map_err(unusable)?.next() {
        let (name, path) = (entry.file_name(), path.display());
        tracing::warn!(
            "mount point {path} is not empty; {} and what else is in it cannot be seen now",
            name.display()
        );
    }
    Ok(path)
}

/// How long whoever serves the mount point may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Whether a FUSE daemon died here. Asks for the status of the file system, because the kernel answers other questions
/// about its root from memory; and asks from another thread, because a daemon that hangs never answers.
fn is_dead(path: &Path) -> Result<bool, MountError> {
    let (sender, answer) = mpsc::channel();
    let asked = path.to_owned();
    thread::spawn(move || {
        // Nobody listens any more if the answer comes too late.
        let _ = sender.send(rustix::fs::statfs(&asked));
    });
    match answer.recv_timeout(ANSWER) {
        Ok(status) => Ok(matches!(status, Err(rustix::io::Errno::NOTCONN | rustix::io::Errno::CONNABORTED))),
        Err(_) => Err(MountError::Stuck { path: path.to_owned() }),
    }
}

/// Whether the topmost mount at `path` is a litefs. The format is that of proc(5), `/proc/pid/mountinfo`.
fn is_litefs(mounts: &[u8], path: &Path) -> bool {
    let mut topmost = mounts.split(|byte| *byte == b'\n').rev().filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let mount_point = unescape(fields.nth(4)?);
        let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
        let (kind, source) = (fields.next()?, fields.next()?);
        (OsStr::from_bytes(&mount_point) == path.as_os_str()).then_some((kind, source))
    });
    topmost.next().is_some_and(|(kind, source)| kind == b"fuse" && source == SOURCE.as_bytes())
}

/// Turns `\040` and the like into the bytes they stand for.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        if let Some(digits) = octal {
            plain.push(digits.iter().fold(0u8, |value, digit| value.wrapping_mul(8) + (digit - b'0')));
            rest = &after[3..];
        } else {
            plain.push(*first);
            rest = after;
        }
    }
    plain
}

/// Unmounts, through the setuid helper where the daemon is not root.
pub(crate) fn unmount(path: &Path, flags: UnmountFlags) -> io::Result<()> {
    match rustix::mount::unmount(path, flags) {
        Err(rustix::io::Errno::PERM) => {}
        result => return Ok(result?),
    }
    let mut command = Command::new("fusermount3");
    command.args(["-u", "-q"]);
    if flags.contains(UnmountFlags::DETACH) {
        command.arg("-z");
    }
    if command.arg("--").arg(path).status()?.success() {
        return Ok(());
    }
    Err(rustix::io::Errno::BUSY.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        40 22 0:50 / /mnt/a\\040b rw,nosuid shared:7 - fuse litefs rw,user_id=0\n\
        41 22 0:51 / /mnt/c rw - fuse litefs rw\n\
        42 41 0:52 / /mnt/c rw - tmpfs none rw\n\
        43 22 0:53 / /mnt/d rw - fuse sshfs rw\n";

    #[test]
    fn only_a_topmost_litefs_counts_as_one() {
        assert!(is_litefs(MOUNTS, Path::new("/mnt/a b")));
        assert!(!is_litefs(MOUNTS, Path::new("/mnt/c")));
        assert!(!is_litefs(MOUNTS, Path::new("/mnt/d")));
        assert!(!is_litefs(MOUNTS, Path::new("/mnt")));
        assert!(!is_litefs(b"", Path::new("/mnt")));
    }

    #[test]
    fn escapes_that_are_none_stay_as_they_are() {
        assert_eq!(unescape(b"a\\040b\\134\\9\\04"), b"a b\\\\9\\04");
    }
}
