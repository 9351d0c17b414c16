//! Names that go.

use std::ffi::OsStr;
use std::sync::Arc;

use litefs_core::database::Request;
use litefs_core::{Errno, File};

use super::file_system::FileSystem;
use super::inode::{Key, Target};
use super::inodes::ROOT;
use super::local_dir::Place;
use super::lookup::Resolved;
use super::names::Name;
use crate::databases::DatabaseFiles;

/// The files of a database that have a name in the mount.
const FILES: [File; 4] = [File::Database, File::Journal, File::Wal, File::Shm];

impl FileSystem {
    pub(crate) fn unlink(&self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        if parent != ROOT {
            return self.unlink_local(parent, name);
        }
        let resolved = {
            let _names = self.hold_names();
            self.resolve(name)?
        };
        match resolved {
            Resolved::Database(database, File::Database) => {
                let _names = self.change_names();
                self.remove_database(&database)
            }
            Resolved::Database(database, file) => {
                let removed = database.request(Request::Remove(file));
                self.forget_overwritten(&database);
                removed?;
                self.part(&database, file, false);
                Ok(())
            }
            Resolved::Virtual(_) => Err(Errno::EPERM),
            Resolved::Missing(_) => Err(Errno::ENOENT),
            Resolved::Local => self.unlink_local(parent, name),
        }
    }

    /// The caller may change names.
    fn remove_database(&self, database: &Arc<dyn DatabaseFiles>) -> Result<(), Errno> {
        let was_empty = database.page_count() == 0 && database.len(File::Database)? == Some(0);
        database.request(Request::Remove(File::Database))?;
        self.part_all(database, was_empty);
        Ok(())
    }

    /// Removes a database that was never more than a refused foreign file.
    pub(super) fn remove_refused(&self, database: &Arc<dyn DatabaseFiles>) -> Result<(), Errno> {
        let _names = self.change_names();
        self.remove_database(database)?;
        self.notifier.forget_database(&database.name());
        Ok(())
    }

    /// Parts the inodes from the files of a database that was dropped, and lets the kernel forget the names beside it.
    pub(super) fn part_all(&self, database: &Arc<dyn DatabaseFiles>, was_empty: bool) {
        for file in FILES {
            self.part(database, file, was_empty && file == File::Database);
        }
        self.notifier.forget_sidecars(&database.name());
    }

    /// Parts the inode from a removed file. Programs that have it open keep what they have.
    pub(super) fn part(&self, database: &Arc<dyn DatabaseFiles>, file: File, was_empty: bool) {
        if let Some(inode) = self.inodes.detach(&Key::database(database, file)) {
            inode.state().target = Target::Removed { was_empty };
        }
    }

    fn unlink_local(&self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        let place = self.inodes.place_of(&*self.inodes.get(parent)?)?.child(name);
        let _names = self.change_names();
        let stat = self.local.stat(&place)?;
        self.local.unlink(&place)?;
        self.drop_name(&stat, parent, name);
        if Name::of(name) == Name::SuperJournal {
            // Its absence commits the transaction in every database it named.
            self.local.sync_dir(&Place::root())?;
        }
        Ok(())
    }

    pub(crate) fn remove_dir(&self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        let place = self.inodes.place_of(&*self.inodes.get(parent)?)?.child(name);
        let _names = self.change_names();
        let stat = self.local.stat(&place)?;
        self.local.remove_dir(&place)?;
        self.drop_name(&stat, parent, name);
        Ok(())
    }

    /// A local file lost a name. `stat` is from before.
    pub(super) fn drop_name(&self, stat: &rustix::fs::Stat, parent: u64, name: &OsStr) {
        let key = Key::local(stat);
        if let Some(inode) = self.inodes.find(&key) {
            inode.state().names.remove(&(parent, name.to_owned()));
        }
        let is_dir = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory;
        if stat.st_nlink <= 1 || is_dir {
            self.inodes.detach(&key);
        }
    }
}
