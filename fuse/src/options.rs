use std::path::PathBuf;

/// How to mount.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where. Created if it is missing.
    pub mount_point: PathBuf,
    /// Let other users than the one who mounts use the files, as far as their modes allow it.
    pub allow_other: bool,
    /// What becomes of files that are not databases.
    pub other_files: OtherFiles,
    /// Let the kernel read and write files of WAL databases itself where it can. Off, everything goes through the daemon.
    pub passthrough: bool,
    /// Leave the remains of a daemon that died at the mount point alone, and fail because of them.
    pub skip_unmount: bool,
    /// Threads that serve the kernel, at least 1.
    pub threads: usize,
}

impl Options {
    /// The usual options. Two threads: more of them only wake each other up.
    pub fn new(mount_point: impl Into<PathBuf>) -> Self {
        Self {
            mount_point: mount_point.into(),
            allow_other: false,
            other_files: OtherFiles::Refuse,
            passthrough: true,
            skip_unmount: false,
            threads: 2,
        }
    }
}

/// What becomes of files that are not databases.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OtherFiles {
    /// They are refused, so that nobody takes them for replicated.
    Refuse,
    /// They are kept on this node alone, in directories too.
    Local,
}
