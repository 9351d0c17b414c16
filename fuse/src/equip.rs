//! Gives the databases of a store their way through the mount.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use litefs_core::{Errno, File};

use crate::apply::{Applier, Files, Kernel, Paths, RealSystem};
use crate::store::{Database, Store};
use crate::{DatabaseFiles, Mount, Notifier};

/// Lets the store apply transactions from elsewhere beside programs that have databases open in the mount.
///
/// [`Store::unequip`] must come before the mount goes: an applier holds files of the mount.
pub fn equip(store: &Store, mount: &Mount) {
    let (directory, notifier) = (mount.path().to_path_buf(), mount.notifier().clone());
    let maps_backing_shm = mount.uses_passthrough();
    store.set_equip(move |database| {
        let name = database.name();
        let in_mount = |suffix: &str| -> PathBuf { directory.join(format!("{name}{suffix}")) };
        let mount = Files {
            database: in_mount(""),
            journal: in_mount("-journal"),
            wal: in_mount("-wal"),
            shm: in_mount("-shm"),
        };
        let backing = Files {
            database: database.path(File::Database),
            journal: database.path(File::Journal),
            wal: database.path(File::Wal),
            shm: database.path(File::Shm),
        };
        let cache = KernelCache { notifier: notifier.clone(), database: Arc::downgrade(database) };
        Applier::new(RealSystem::new(Paths { mount, backing, maps_backing_shm }, Box::new(cache)))
    });
}

/// The kernel's cache of one database's files.
#[derive(Debug)]
struct KernelCache {
    notifier: Notifier,
    /// The database owns the applier that owns this.
    database: Weak<Database>,
}

impl KernelCache {
    fn tell(
        &self,
        tell: impl FnOnce(&Notifier, &Arc<dyn DatabaseFiles>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let Some(database) = self.database.upgrade() else { return Ok(()) };
        let database: Arc<dyn DatabaseFiles> = database;
        tell(&self.notifier, &database)
    }
}

impl Kernel for KernelCache {
    fn store(&self, file: File, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.tell(|notifier, database| notifier.store(database, file, offset, bytes))
    }

    fn invalidate(&self, file: File, range: Range<u64>) -> Result<(), Errno> {
        // The kernel takes a length of zero for the rest of the file.
        let len = if range.end == u64::MAX { 0 } else { range.end - range.start };
        self.tell(|notifier, database| notifier.invalidate(database, file, range.start, len))
    }

    fn resized(&self, file: File) -> Result<(), Errno> {
        self.tell(|notifier, database| notifier.invalidate_attributes(database, file))
    }

    fn sync_log(&self) -> Result<(), Errno> {
        self.database.upgrade().map_or(Ok(()), |database| database.make_log_durable())
    }

    fn created(&self, file: File) -> Result<(), Errno> {
        self.tell(|notifier, database| notifier.created(database, file))
    }

    fn removed(&self, file: File) -> Result<(), Errno> {
        if let Some(database) = self.database.upgrade() {
            database.forget_handle(file);
        }
        self.tell(|notifier, database| notifier.removed(database, file))
    }
}
