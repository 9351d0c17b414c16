use std::io;
use std::path::PathBuf;

/// Why the mount could not be made, or taken away.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The mount point is missing and cannot be created.
    #[error("cannot create mount point {}: {source}", path.display())]
    Create {
        /// The mount point.
        path: PathBuf,
        /// What the disk answered.
        source: io::Error,
    },
    /// The mount point is a file or something else.
    #[error("mount point {} is not a directory", path.display())]
    NotADirectory {
        /// The mount point.
        path: PathBuf,
    },
    /// The mount point cannot be looked at.
    #[error("cannot use mount point {}: {source}", path.display())]
    Unusable {
        /// The mount point.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// A running litefs is mounted there.
    #[error("mount point {} is in use by another litefs; stop it first", path.display())]
    InUse {
        /// The mount point.
        path: PathBuf,
    },
    /// What is mounted there does not answer.
    #[error("mount point {path} does not answer: the daemon that serves it is stuck; run `umount -f {path}`", path = path.display())]
    Stuck {
        /// The mount point.
        path: PathBuf,
    },
    /// A daemon died and left its mount behind.
    #[error("mount point {path} is left over from a litefs that has died; run `umount -l {path}` or start without -skip-unmount", path = path.display())]
    Stale {
        /// The mount point.
        path: PathBuf,
    },
    /// There is no FUSE on this machine or in this container.
    #[error("{} is missing: load the kernel module fuse, or give the container the device (docker run --device /dev/fuse --cap-add SYS_ADMIN)", path.display())]
    NoDevice {
        /// The device.
        path: PathBuf,
    },
    /// The device is there but may not be used.
    #[error("cannot open {}: {source}; run as root or give the user access to the device", path.display())]
    Device {
        /// The device.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// Mounting needs a privilege, or a helper that has it.
    #[error("may not mount on {}: run as root (in a container with --cap-add SYS_ADMIN), or install fusermount3 (package fuse3): {source}", path.display())]
    NotPermitted {
        /// The mount point.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// The helper that mounts for ordinary users refused.
    #[error("cannot mount on {}: {message}", path.display())]
    Helper {
        /// The mount point.
        path: PathBuf,
        /// What the helper said.
        message: String,
    },
    /// The directory of local files cannot be used.
    #[error("cannot open directory {} of local files: {source}", path.display())]
    LocalDir {
        /// The directory.
        path: PathBuf,
        /// What the disk answered.
        source: litefs_core::Errno,
    },
    /// The kernel refused the mount for another reason.
    #[error("cannot mount on {}: {source}", path.display())]
    Mount {
        /// The mount point.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// The mount could not be taken away.
    #[error("cannot unmount {}: {source}", path.display())]
    Unmount {
        /// The mount point.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// The mount is gone but threads that serve it have not ended.
    #[error("{} is unmounted, but a request was still being served after {seconds} s", path.display())]
    StillServing {
        /// The mount point.
        path: PathBuf,
        /// How long the threads were waited for.
        seconds: u64,
    },
}
