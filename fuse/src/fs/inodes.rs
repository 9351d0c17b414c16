use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use litefs_core::{Errno, File};

use super::inode::{Inode, Key, Target};
use super::local_dir::Place;
use crate::databases::DatabaseFiles;

/// The number the kernel uses for the root directory.
pub(crate) const ROOT: u64 = 1;

/// Every file the kernel knows, by the number it was told.
///
/// A number is never used again: SQLite compares inode numbers to find out that a file was replaced, and the kernel
/// keeps locks and pages by them.
#[derive(Debug)]
pub(crate) struct Inodes(RwLock<Table>);

#[derive(Debug)]
struct Table {
    next: u64,
    by_number: BTreeMap<u64, Arc<Inode>>,
    by_key: BTreeMap<Key, Arc<Inode>>,
}

impl Inodes {
    pub(crate) fn new() -> Self {
        let root = Arc::new(Inode::new(ROOT, Target::Local, None));
        let by_number = BTreeMap::from([(ROOT, root)]);
        Self(RwLock::new(Table { next: ROOT + 1, by_number, by_key: BTreeMap::new() }))
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The inode of a number the kernel was told.
    pub(crate) fn get(&self, number: u64) -> Result<Arc<Inode>, Errno> {
        self.read().by_number.get(&number).cloned().ok_or(Errno::ESTALE)
    }

    /// The inode of a file, if the kernel knows it.
    pub(crate) fn find(&self, key: &Key) -> Option<Arc<Inode>> {
        self.read().by_key.get(key).cloned()
    }

    /// The inode of `key`, which gets the next number if it is new, with one more reference held by the kernel.
    pub(crate) fn look_up(&self, key: Key, target: Target) -> Arc<Inode> {
        let mut table = self.write();
        let inode = if let Some(inode) = table.by_key.get(&key) {
            Arc::clone(inode)
        } else {
            let inode = Arc::new(Inode::new(table.next, target, Some(key.clone())));
            table.next += 1;
            table.by_number.insert(inode.number, Arc::clone(&inode));
            table.by_key.insert(key, Arc::clone(&inode));
            inode
        };
        *inode.lookups() += 1;
        inode
    }

    /// The kernel gives up `count` references.
    pub(crate) fn forget(&self, number: u64, count: u64) {
        let mut table = self.write();
        let Some(inode) = table.by_number.get(&number).cloned() else { return };
        let mut lookups = inode.lookups();
        *lookups = lookups.saturating_sub(count);
        if number != ROOT && *lookups == 0 {
            table.by_number.remove(&number);
            // Another file may have got the key meanwhile, by being renamed to it.
            if let Some(key) = inode.state().key.take()
                && table.by_key.get(&key).is_some_and(|found| found.number == number)
            {
                table.by_key.remove(&key);
            }
        }
    }

    /// Parts a number from the file it stood for, because the file is removed or replaced; handles stay.
    pub(crate) fn detach(&self, key: &Key) -> Option<Arc<Inode>> {
        let inode = self.write().by_key.remove(key)?;
        inode.state().key = None;
        Some(inode)
    }

    /// Lets the number stand for a file of a database from now on, open handles included.
    pub(crate) fn give_to_database(
        &self,
        inode: &Arc<Inode>,
        database: &Arc<dyn DatabaseFiles>,
        file: File,
    ) -> Result<(), Errno> {
        let backing = Arc::new(database.backing(file)?);
        let key = Key::database(database, file);
        let mut table = self.write();
        let mut state = inode.state();
        if let Some(old) = state.key.replace(key.clone()) {
            table.by_key.remove(&old);
        }
        state.target = Target::Database(Arc::clone(database), file);
        state.names.clear();
        state.opening.backing = state.opening.backing.take().map(|_| backing);
        drop(state);
        table.by_key.insert(key, Arc::clone(inode));
        Ok(())
    }

    /// The numbers of the live files of `database` that the kernel knows.
    pub(crate) fn files_of(&self, database: &Arc<dyn DatabaseFiles>) -> Vec<(File, u64)> {
        let table = self.read();
        let files = [File::Database, File::Journal, File::Wal, File::Shm];
        let known = |file| table.by_key.get(&Key::database(database, file)).map(|inode| (file, inode.number));
        files.into_iter().filter_map(known).collect()
    }

    /// Where a local file is, as far as the kernel was told one of its names.
    pub(crate) fn place_of(&self, inode: &Inode) -> Result<Place, Errno> {
        if inode.number == ROOT {
            return Ok(Place::root());
        }
        let (mut parent, name) = inode.first_name().ok_or(Errno::ESTALE)?;
        let mut above: Vec<OsString> = Vec::new();
        while parent != ROOT {
            let (next, name) = self.get(parent)?.first_name().ok_or(Errno::ESTALE)?;
            above.push(name);
            parent = next;
        }
        Ok(Place { parent: above.iter().rev().collect::<PathBuf>(), name })
    }
}

impl Inode {
    fn first_name(&self) -> Option<(u64, OsString)> {
        self.state().names.first().cloned()
    }
}

/// The lock of a mutex whose holder cannot leave it half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names of a local file: the directory's number and the name in it.
pub(crate) type Names = BTreeSet<(u64, OsString)>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b32_what_the_kernel_forgets_is_forgotten() {
        let inodes = Inodes::new();
        for file in 0..1000 {
            let inode = inodes.look_up(Key::Local(1, file), Target::Local);
            assert_eq!(inodes.look_up(Key::Local(1, file), Target::Local).number, inode.number);
            if file % 2 == 0 {
                // It was removed while it was open.
                inodes.detach(&Key::Local(1, file));
            }
            inodes.forget(inode.number, 1);
            assert!(inodes.get(inode.number).is_ok(), "one reference is left");
            inodes.forget(inode.number, 1);
        }
        let table = inodes.read();
        assert_eq!((table.by_number.len(), table.by_key.len()), (1, 0), "the root is left");
    }
}
