use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use litefs_core::{DatabaseName, Errno, File};

use super::counters::{Counters, Operation};
use super::handles::Handles;
use super::inodes::Inodes;
use super::local_dir::{LocalDir, Owner};
use crate::databases::{DatabaseFiles, Databases};
use crate::notify::Notifier;
use crate::options::OtherFiles;

/// Everything the mount knows. What a request does is in the other files of this directory.
#[derive(Debug)]
pub(crate) struct FileSystem {
    pub(super) databases: Arc<dyn Databases>,
    pub(super) other_files: OtherFiles,
    pub(super) local: LocalDir,
    pub(super) inodes: Arc<Inodes>,
    pub(super) handles: Handles,
    pub(super) notifier: Notifier,
    /// When the mount began, the time of files that have no other.
    pub(super) started: SystemTime,
    /// The daemon's own user, who owns what nobody created.
    pub(super) owner: Owner,
    passthrough: AtomicBool,
    counters: Counters,
    /// Held while a name of the root directory changes hands between local files and databases.
    names: RwLock<()>,
}

impl FileSystem {
    pub(crate) fn new(
        databases: Arc<dyn Databases>,
        other_files: OtherFiles,
        inodes: Arc<Inodes>,
        notifier: Notifier,
    ) -> Result<Self, Errno> {
        let local = LocalDir::open(databases.local_dir())?;
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Ok(Self {
            databases,
            other_files,
            local,
            inodes,
            handles: Handles::default(),
            notifier,
            started: SystemTime::now(),
            owner: Owner { uid, gid },
            passthrough: AtomicBool::new(false),
            counters: Counters::default(),
            names: RwLock::new(()),
        })
    }

    /// Whether the kernel reads and writes files of WAL databases itself.
    pub(crate) fn uses_passthrough(&self) -> bool {
        self.passthrough.load(Ordering::Relaxed)
    }

    pub(crate) fn use_passthrough(&self, use_it: bool) {
        self.passthrough.store(use_it, Ordering::Relaxed);
    }

    pub(super) fn count(&self, operation: Operation) {
        self.counters.count(operation);
    }

    /// How many requests of each kind the kernel has sent.
    pub(crate) fn requests(&self) -> Vec<(&'static str, u64)> {
        self.counters.all()
    }

    pub(super) fn is_local_allowed(&self) -> bool {
        self.other_files == OtherFiles::Local
    }

    /// Keeps names of the root directory with the kind of file they have.
    pub(super) fn hold_names(&self) -> RwLockReadGuard<'_, ()> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Allows the holder to change the kind of file that a name of the root directory has.
    pub(super) fn change_names(&self) -> RwLockWriteGuard<'_, ()> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database of this name if its file exists.
    pub(super) fn live(&self, name: &DatabaseName) -> Result<Option<Arc<dyn DatabaseFiles>>, Errno> {
        let Some(database) = self.databases.database(name) else { return Ok(None) };
        let exists = database.len(File::Database)?.is_some();
        Ok(exists.then_some(database))
    }

    /// Says in the log that a file was refused, and why.
    pub(super) fn refuse(&self, what: &str, name: &std::ffi::OsStr) -> Errno {
        let name = name.display();
        tracing::warn!(
            "refused to {what} {name}: only sqlite databases are replicated; to keep other files on this node alone, \
             set fuse.other-files: local"
        );
        Errno::EPERM
    }
}
