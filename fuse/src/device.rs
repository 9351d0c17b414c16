//! The connection to the kernel: `/dev/fuse`, and the mount that belongs to it.
//!
//! The session could mount by itself, but it would then also unmount the path when it ends, whoever has mounted there
//! in the meantime.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::mount::MountFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use crate::mount_error::MountError;

const DEVICE: &str = "/dev/fuse";

/// The helper that mounts for ordinary users (fusermount3(1)).
const HELPER: &str = "fusermount3";

/// The name of the file system in `/proc/mounts`.
pub(crate) const SOURCE: &str = "litefs";

/// Opens the device.
pub(crate) fn open() -> Result<OwnedFd, MountError> {
    open_at(Path::new(DEVICE))
}

fn open_at(device: &Path) -> Result<OwnedFd, MountError> {
    let path = device.to_owned();
    match OpenOptions::new().read(true).write(true).open(device) {
        Ok(file) => Ok(file.into()),
        Err(error) if is_missing(&error) => Err(MountError::NoDevice { path }),
        Err(source) => Err(MountError::Device { path, source }),
    }
}

/// No such file, or a device node without a driver.
fn is_missing(error: &io::Error) -> bool {
    let no_driver = [rustix::io::Errno::NODEV, rustix::io::Errno::NXIO].map(rustix::io::Errno::raw_os_error);
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error().is_some_and(|code| no_driver.contains(&code))
}

/// Mounts on `path` and returns the device that serves the mount: `device`, or the one the helper opened.
pub(crate) fn mount(device: OwnedFd, path: &Path, allow_other: bool) -> Result<OwnedFd, MountError> {
    let allow_other = if allow_other { ",allow_other" } else { "" };
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let fd = device.as_raw_fd();
    let data =
        format!("fd={fd},rootmode=40000,user_id={uid},group_id={gid},default_permissions{allow_other}");
    let data = CString::new(data).map_err(|error| failed(path, error.into()))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    match rustix::mount::mount(SOURCE, path, "fuse", flags, data.as_c_str()) {
        Ok(()) => Ok(device),
        Err(rustix::io::Errno::PERM) => {
            drop(device);
            mount_by_helper(path, allow_other)
        }
        Err(error) => Err(failed(path, error.into())),
    }
}

/// The helper sends the device back over the socket whose number is in its environment.
fn mount_by_helper(path: &Path, allow_other: &str) -> Result<OwnedFd, MountError> {
    let (ours, helpers) = UnixStream::pair().map_err(|error| failed(path, error))?;
    let mut child = Command::new(HELPER)
        .arg("-o")
        .arg(format!("fsname={SOURCE},default_permissions{allow_other}"))
        .arg("--")
        .arg(path)
        .env("_FUSE_COMMFD", "0")
        .stdin(OwnedFd::from(helpers))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| MountError::NotPermitted { path: path.to_owned(), source })?;
    let device = receive(&ours).map_err(|error| failed(path, error))?;
    let mut message = String::new();
    if let Some(errors) = &mut child.stderr {
        errors.read_to_string(&mut message).map_err(|error| failed(path, error))?;
    }
    let status = child.wait().map_err(|error| failed(path, error))?;
    match device {
        Some(device) if status.success() => Ok(device),
        _ => Err(MountError::Helper { path: path.to_owned(), message: message.trim().to_owned() }),
    }
}

/// The device from the socket, `None` if the helper gave up.
fn receive(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let device = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(device)
}

fn failed(path: &Path, source: io::Error) -> MountError {
    MountError::Mount { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_device_says_how_to_get_one() {
        let dir = tempfile::tempdir().unwrap();
        let error = open_at(&dir.path().join("fuse")).unwrap_err();
        assert!(matches!(error, MountError::NoDevice { .. }), "{error}");
        assert!(
            error.to_string().ends_with("(docker run --device /dev/fuse --cap-add SYS_ADMIN)"),
            "{error}"
        );
    }

    #[test]
    fn device_that_cannot_be_opened_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let error = open_at(dir.path()).unwrap_err();
        assert!(matches!(error, MountError::Device { .. }), "{error}");
        assert!(error.to_string().contains("Is a directory"), "{error}");
    }
}
