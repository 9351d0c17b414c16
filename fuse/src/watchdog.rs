use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, statx};
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
        let device = device_of(&path)?;
        let (wanted, unwanted) = mpsc::channel::<()>();
        let (started, start) = mpsc::channel();
        let thread = thread::Builder::new().name("litefs-watchdog".to_owned()).spawn(move || {
            let child = spawn(&path, device);
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
fn spawn(path: &CStr, device: Device) -> io::Result<Pid> {
    let daemon = rustix::process::getpid();
    // Blocked from its first moment on: what is sent to the whole process group is not meant for it.
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    // SAFETY: the child makes system calls only; it neither allocates nor takes a lock another thread could hold.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            watch(daemon, path, device);
            // SAFETY: ends the process without running what the daemon wants to be run at its end.
            unsafe { libc::_exit(0) }
        }
    }
}

/// The life of the process.
fn watch(daemon: rustix::process::Pid, path: &CStr, device: Device) {
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
    cut_off(path, device);
}

/// Answers all requests to the mount with an error, now and from now on. Nothing here waits for the daemon.
fn cut_off(path: &CStr, device: Device) {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // Held open so that the mount is in use and stays.
    let Ok(_root) = rustix::fs::open(path, flags, Mode::empty()) else { return };
    if device_of(path).is_ok_and(|found| found == device) {
        let _ = rustix::mount::unmount(path, UnmountFlags::FORCE);
    }
}

/// The number of the file system that is mounted somewhere.
type Device = (u32, u32);

fn device_of(path: &CStr) -> io::Result<Device> {
    let found = statx(rustix::fs::CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::empty())?;
    Ok((found.stx_dev_major, found.stx_dev_minor))
}
