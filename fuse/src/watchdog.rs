use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, statx};
use rustix::mount::UnmountFlags;

/// A process that outlives a daemon that is killed, and cuts the mount off then.
///
/// The daemon uses files of its own mount. Killed while the kernel waits for its answer, it cannot end: the thread that
/// asked waits for one that is gone, and keeps the device open whose closing would tell the kernel so. Every program
/// that uses the mount would hang with it. This process forces the mount instead, which takes root; without, an
/// administrator has to (`umount -f`).
///
/// The mount stays where it is and answers ENOTCONN, lest programs make databases in the directory below it.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// Dropped to end the process.
    wanted: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Sent by the kernel when the thread that started the process ends, whatever the others do.
const ENDED: Signal = Signal::SIGUSR2;

impl Watchdog {
    /// Watches over what is mounted on `path`, an absolute path, from now on.
    pub(crate) fn start(path: &Path) -> io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mount = mount_at(CWD, &path)?;
        let (wanted, unwanted) = mpsc::channel::<()>();
        let (started, start) = mpsc::channel();
        let thread = thread::Builder::new().name("litefs-watchdog".to_owned()).spawn(move || {
            let child = spawn(&path, mount);
            let pid = child.as_ref().ok().copied();
            // The other side waits for it.
            let _ = started.send(child.map(drop));
            if let Some(pid) = pid {
                // The end of the mount, which nobody ever announces otherwise.
                let _ = unwanted.recv();
                let ended = kill(pid, Signal::SIGKILL).and_then(|()| waitpid(pid, None));
                if let Err(error) = ended {
                    tracing::warn!("cannot end the watchdog process {pid}: {error}");
                }
            }
        })?;
        start.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { wanted: Some(wanted), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts the process. It is told of the end of the calling thread.
fn spawn(path: &CStr, mount: MountId) -> io::Result<Pid> {
    let daemon = rustix::process::getpid();
    // Blocked from its first moment on: what is sent to the whole process group is not meant for it.
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    // SAFETY: the child makes system calls only; it neither allocates nor takes a lock another thread could hold.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            watch(daemon, path, mount);
            // SAFETY: ends the process without running what the daemon wants to be run at its end.
            unsafe { libc::_exit(0) }
        }
    }
}

/// The life of the process.
fn watch(daemon: rustix::process::Pid, path: &CStr, mount: MountId) {
    // Everything the daemon has open: the device above all, and the lock on the data directory.
    // SAFETY: nothing here uses a file.
    unsafe { libc::close_range(0, u32::MAX, 0) };
    let mut signals = SigSet::empty();
    signals.add(ENDED);
    let told = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::USR2)).is_ok();
    // The daemon could have been killed before that.
    if told && rustix::process::getppid() == Some(daemon) {
        while signals.wait() != Ok(ENDED) {}
    }
    cut_off(path, mount);
}

/// Answers all requests to the mount with an error, now and from now on. Nothing here waits for the daemon.
fn cut_off(path: &CStr, mount: MountId) {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // Held open so that the mount is in use and stays.
    let Ok(root) = rustix::fs::open(path, flags, Mode::empty()) else { return };
    // Another daemon may have mounted there already, and may do so at any moment: what is forced is what was looked at.
    if root.as_raw_fd() == ROOT_FD && mount_at(&root, c"").is_ok_and(|found| found == mount) {
        let _ = rustix::mount::unmount(ROOT_PATH, UnmountFlags::FORCE);
    }
}

/// The number of the only open file of a process, and its path.
const ROOT_FD: RawFd = 0;
const ROOT_PATH: &CStr = c"/proc/self/fd/0";

/// Tells a mount from another one that takes its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct MountId {
    /// Never used again since Linux 6.8, and likely to be before.
    id: u64,
    device: (u32, u32),
}

/// What is mounted at a path below an open directory. Nobody who serves it is asked.
fn mount_at(directory: impl AsFd, path: &CStr) -> io::Result<MountId> {
    /// `STATX_MNT_ID_UNIQUE`; older kernels know nothing of it and answer to `MNT_ID`.
    const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let found = statx(directory, path, flags, StatxFlags::MNT_ID | UNIQUE)?;
    Ok(MountId { id: found.stx_mnt_id, device: (found.stx_dev_major, found.stx_dev_minor) })
}

#[cfg(test)]
mod tests {
    use rustix::mount::{MountFlags, mount, unmount};

    use super::*;

    #[test]
    fn mount_that_takes_the_place_of_another_is_not_that_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = CString::new(dir.path().as_os_str().as_bytes()).unwrap();
        let mounted = || {
            mount(c"none", &path, c"tmpfs", MountFlags::empty(), None).unwrap();
            let found = mount_at(CWD, &path).unwrap();
            assert_eq!(mount_at(CWD, &path).unwrap(), found);
            unmount(&path, UnmountFlags::empty()).unwrap();
            found
        };
        assert_ne!(mounted(), mounted());
    }
}
