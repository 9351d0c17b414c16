use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fuser::{Config, Session, SessionACL};
use rustix::mount::UnmountFlags;

use crate::databases::Databases;
use crate::device;
use crate::fs::{Dispatch, FileSystem, Inodes, lock};
use crate::mount_error::MountError;
use crate::mount_point;
use crate::notify::Notifier;
use crate::options::Options;
use crate::probe;
use crate::watchdog::Watchdog;

/// How long programs that still use the mount may take to go before it is taken away from under them.
const GRACE: Duration = Duration::from_secs(1);

/// How long requests that are being served when the mount goes may take.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// A mounted file system. Dropping it unmounts.
#[derive(Debug)]
pub struct Mount {
    path: PathBuf,
    file_system: Arc<FileSystem>,
    notifier: Notifier,
    ended: Arc<Ended>,
    _watchdog: Option<Watchdog>,
}

/// Tells when the last thread that serves the kernel has ended.
#[derive(Debug, Default)]
struct Ended {
    has_ended: Mutex<bool>,
    changed: Condvar,
}

/// Mounts the databases and begins to serve them.
///
/// # Errors
/// What is wrong with the mount point or with FUSE on this machine, and what to do about it.
pub fn mount(databases: Arc<dyn Databases>, options: &Options) -> Result<Mount, MountError> {
    let device = device::open()?;
    let path = mount_point::prepare(&options.mount_point, options.skip_unmount)?;
    let local_dir = databases.local_dir().to_owned();
    let inodes = Arc::new(Inodes::new());
    let notifier = Notifier::new(Arc::clone(&inodes));
    let file_system = FileSystem::new(databases, options.other_files, inodes, notifier.clone())
        .map_err(|source| MountError::LocalDir { path: local_dir.clone(), source })?;
    let file_system = Arc::new(file_system);

    let stack_depth = if options.passthrough { probe::stack_depth(&local_dir) } else { 0 };
    let dispatch = Dispatch { file_system: Arc::clone(&file_system), stack_depth };
    let device = device::mount(device, &path, options.allow_other)?;
    let session = begin(dispatch, device, options).map_err(|source| {
        // Nobody would ever serve it.
        let _ = mount_point::unmount(&path, UnmountFlags::DETACH);
        MountError::Mount { path: path.clone(), source }
    })?;
    if options.passthrough {
        match probe::try_passthrough(&session, &local_dir) {
            Ok(()) => {
                file_system.use_passthrough(true);
                tracing::info!("the kernel reads and writes wal databases itself");
            }
            Err(error) => tracing::warn!(
                "no passthrough, so every file goes through the daemon, which is slower: {error} (it needs \
                 CAP_SYS_ADMIN, linux 6.9, and a data directory that is not on stacked file systems)"
            ),
        }
    }
    notifier.attach(session.notifier());
    let ended = Arc::new(Ended::default());
    serve(session, &notifier, &ended).map_err(|source| MountError::Mount { path: path.clone(), source })?;
    let watchdog = Watchdog::start(&path)
        .inspect_err(|error| {
            tracing::warn!("programs may hang in the mount should this process be killed: {error}");
        })
        .ok();
    Ok(Mount { path, file_system, notifier, ended, _watchdog: watchdog })
}

impl Mount {
    /// The absolute path of the mount point.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Through which the kernel is told of changes that come from elsewhere.
    pub fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Whether the kernel reads and writes files of WAL databases itself.
    pub fn uses_passthrough(&self) -> bool {
        self.file_system.uses_passthrough()
    }

    /// How many requests of each kind the kernel has sent so far.
    pub fn requests(&self) -> Vec<(&'static str, u64)> {
        self.file_system.requests()
    }

    /// Waits until the mount has gone, for example because an administrator has unmounted it.
    pub fn wait(&self) {
        let mut has_ended = lock(&self.ended.has_ended);
        while !*has_ended {
            has_ended = self.ended.changed.wait(has_ended).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes the mount away, for programs that still use it too, and waits until every request is answered.
    ///
    /// The daemon's own files in the mount must be closed before.
    ///
    /// # Errors
    /// What the kernel answered, or that requests were still being served after some seconds.
    pub fn unmount(&self) -> Result<(), MountError> {
        if *lock(&self.ended.has_ended) {
            return Ok(());
        }
        self.unmount_path().map_err(|source| MountError::Unmount { path: self.path.clone(), source })?;
        let has_ended = lock(&self.ended.has_ended);
        let (has_ended, _) = self
            .ended
            .changed
            .wait_timeout_while(has_ended, LAST_REQUESTS, |has_ended| !*has_ended)
            .unwrap_or_else(PoisonError::into_inner);
        if *has_ended {
            return Ok(());
        }
        Err(MountError::StillServing { path: self.path.clone(), seconds: LAST_REQUESTS.as_secs() })
    }

    fn unmount_path(&self) -> io::Result<()> {
        let deadline = Instant::now() + GRACE;
        loop {
            match mount_point::unmount(&self.path, UnmountFlags::empty()) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
                // Somebody else has unmounted it.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(()),
                result => return result,
            }
            if Instant::now() >= deadline {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        tracing::warn!("programs still use {}; unmounting it under them", self.path.display());
        // Together, because after a detach alone there is no path left by which to cut the programs off.
        mount_point::unmount(&self.path, UnmountFlags::FORCE | UnmountFlags::DETACH)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            tracing::error!("{error}");
        }
    }
}

/// Agrees with the kernel on how to talk.
fn begin(dispatch: Dispatch, device: OwnedFd, options: &Options) -> io::Result<Session<Dispatch>> {
    let acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
    let mut config = Config::default();
    config.n_threads = Some(options.threads.max(1));
    Session::from_fd(dispatch, device, acl, config)
}

/// Starts the threads that serve the kernel and the one that tells it things.
fn serve(session: Session<Dispatch>, notifier: &Notifier, ended: &Arc<Ended>) -> io::Result<()> {
    let telling = notifier.clone();
    thread::Builder::new().name("litefs-notify".to_owned()).spawn(move || telling.run())?;
    let (notifier, ended) = (notifier.clone(), Arc::clone(ended));
    thread::Builder::new().name("litefs-mount".to_owned()).spawn(move || {
        if let Err(error) = session.run() {
            tracing::error!("the mount has failed: {error}");
        }
        notifier.close();
        *lock(&ended.has_ended) = true;
        ended.changed.notify_all();
    })?;
    Ok(())
}
