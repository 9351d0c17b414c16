use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk of a few megabytes, mounted at a directory.
#[derive(Debug)]
pub(crate) struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    pub(crate) fn mount(path: &Path, megabytes: u32) -> Self {
        let size = format!("size={megabytes}m");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).status().unwrap();
        assert!(status.success(), "cannot mount a tmpfs on {}: run the tests as root", path.display());
        Self { path: path.to_path_buf() }
    }

    /// Refuses writes from now on.
    pub(crate) fn remount_read_only(&self) {
        let status = Command::new("mount").args(["-o", "remount,ro"]).arg(&self.path).status().unwrap();
        assert!(status.success());
    }

    /// Takes all but about `spare` bytes of the disk away, until [`Self::make_room`].
    pub(crate) fn fill(&self, spare: u64) {
        let stat = rustix::fs::statvfs(&self.path).unwrap();
        let free = stat.f_bavail * stat.f_frsize;
        let mut ballast = File::create(self.ballast()).unwrap();
        for _ in 0..free.saturating_sub(spare) / 4096 {
            ballast.write_all(&[1; 4096]).unwrap();
        }
    }

    /// Gives the space back.
    pub(crate) fn make_room(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
