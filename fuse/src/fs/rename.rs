//! `rename`: databases among databases, local files among local files.

use std::ffi::OsStr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use litefs_core::{DatabaseName, Errno, File};
use rustix::fs::{FileType, RenameFlags};

use super::decide::is_database_start;
use super::file_system::FileSystem;
use super::inode::Key;
use super::inodes::ROOT;
use super::local_dir::Place;
use super::lookup::{Resolved, check_length};
use super::names::Name;
use super::open::io_result;
use crate::databases::DatabaseFiles;

impl FileSystem {
    pub(crate) fn rename(
        &self,
        from: (u64, &OsStr),
        to: (u64, &OsStr),
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        check_length(to.1)?;
        let _names = self.change_names();
        let source = self.resolve_in(from)?;
        match source {
            Resolved::Database(database, File::Database) => self.rename_database(&database, to, flags),
            Resolved::Database(..) => Err(self.beside_database()),
            Resolved::Virtual(_) => Err(Errno::EPERM),
            Resolved::Missing(_) => Err(Errno::ENOENT),
            Resolved::Local => self.rename_local(from, to, flags),
        }
    }

    fn resolve_in(&self, (parent, name): (u64, &OsStr)) -> Result<Resolved, Errno> {
        if parent == ROOT { self.resolve(name) } else { Ok(Resolved::Local) }
    }

    /// The answer to who renames a journal, WAL or wal-index, or a file into one: only the database's own machine can
    /// do that, byte by byte. In an ordinary directory `mv` copies and removes then.
    fn beside_database(&self) -> Errno {
        if self.is_local_allowed() { Errno::EXDEV } else { Errno::EPERM }
    }

    fn rename_database(
        &self,
        database: &Arc<dyn DatabaseFiles>,
        (parent, name): (u64, &OsStr),
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        if parent != ROOT {
            // Databases live in the root alone. `mv` copies then, and the copy is a local file.
            return Err(Errno::EXDEV);
        }
        if flags.intersects(RenameFlags::EXCHANGE | RenameFlags::WHITEOUT) {
            return Err(Errno::EINVAL);
        }
        let Name::Plain(to) = Name::of(name) else { return Err(self.beside_database()) };
        let place = Place::in_root(name);
        let local = match self.local.stat(&place) {
            Ok(stat) => Some(stat),
            Err(Errno::ENOENT) => None,
            Err(error) => return Err(error),
        };
        let replaced = self.live(&to)?;
        if flags.contains(RenameFlags::NOREPLACE) && (replaced.is_some() || local.is_some()) {
            return Err(Errno::EEXIST);
        }
        if local.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
            return Err(Errno::EISDIR);
        }
        let from = database.name();
        if from == to {
            return Ok(());
        }
        self.databases.rename(&from, &to)?;
        self.after_rename(database, (&from, &to), replaced.as_ref())?;
        if let Some(stat) = local {
            self.local.unlink(&place)?;
            self.drop_name(&stat, ROOT, name);
        }
        Ok(())
    }

    /// The store has either moved the database, whose inodes then stay, or written it anew under the other name.
    fn after_rename(
        &self,
        database: &Arc<dyn DatabaseFiles>,
        (from, to): (&DatabaseName, &DatabaseName),
        replaced: Option<&Arc<dyn DatabaseFiles>>,
    ) -> Result<(), Errno> {
        let now = self.live(to)?;
        if now.as_ref().is_some_and(|now| Arc::ptr_eq(now, database)) {
            if let Some(replaced) = replaced {
                self.part_all(replaced, false);
            }
            self.notifier.forget_sidecars(from);
            self.notifier.forget_sidecars(to);
        } else {
            self.part_all(database, false);
            self.notifier.forget_database(to);
        }
        Ok(())
    }

    fn rename_local(&self, from: (u64, &OsStr), to: (u64, &OsStr), flags: RenameFlags) -> Result<(), Errno> {
        let from_place = self.inodes.place_of(&*self.inodes.get(from.0)?)?.child(from.1);
        let to_place = self.inodes.place_of(&*self.inodes.get(to.0)?)?.child(to.1);
        let stat = self.local.stat(&from_place)?;
        match self.resolve_in(to)? {
            Resolved::Local => {}
            Resolved::Database(_, File::Database) if flags.contains(RenameFlags::NOREPLACE) => {
                return Err(Errno::EEXIST);
            }
            Resolved::Database(_, File::Database) => {
                return Err(self.refuse("replace a database by another file:", to.1));
            }
            Resolved::Database(..) | Resolved::Missing(_) => return Err(self.beside_database()),
            Resolved::Virtual(_) => return Err(Errno::EPERM),
        }
        if to.0 == ROOT && from.0 != ROOT && self.holds_database(&from_place, &stat)? {
            // Out of a directory into the root it becomes a replicated database, for which `mv` must write it anew.
            return Err(Errno::EXDEV);
        }
        let replaced = match self.local.stat(&to_place) {
            Ok(stat) => Some(stat),
            Err(Errno::ENOENT) => None,
            Err(error) => return Err(error),
        };
        self.local.rename(&from_place, &to_place, flags)?;
        if replaced.is_some_and(|replaced| Key::local(&replaced) == Key::local(&stat)) {
            return Ok(()); // Two names of one file: POSIX keeps both.
        }
        if let Some(replaced) = &replaced {
            if flags.contains(RenameFlags::EXCHANGE) {
                self.move_name(replaced, to, from);
            } else {
                self.drop_name(replaced, to.0, to.1);
            }
        }
        self.move_name(&stat, from, to);
        Ok(())
    }

    fn move_name(&self, stat: &rustix::fs::Stat, from: (u64, &OsStr), to: (u64, &OsStr)) {
        if let Some(inode) = self.inodes.find(&Key::local(stat)) {
            let mut state = inode.state();
            state.names.remove(&(from.0, from.1.to_owned()));
            state.names.insert((to.0, to.1.to_owned()));
        }
    }

    fn holds_database(&self, place: &Place, stat: &rustix::fs::Stat) -> Result<bool, Errno> {
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(false);
        }
        let mut start = [0; 16];
        let count = io_result(self.local.open_file(place)?.read_at(&mut start, 0))?;
        Ok(is_database_start(0, &start[..count]))
    }
}
