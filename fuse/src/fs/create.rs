//! New names.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use litefs_core::database::Request;
use litefs_core::{Errno, File};
use rustix::fs::{Gid, Mode, OFlags, Uid};

use super::errno::of_call;
use super::file_system::FileSystem;
use super::inode::{Inode, Target};
use super::inodes::ROOT;
use super::local_dir::{Owner, Place};
use super::lookup::{Found, Resolved, check_length};
use super::names::Name;
use super::open::{Opened, Register, is_set};
use crate::databases::DatabaseFiles;

/// What a program asks a new file to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewFile {
    /// The file kind and permissions, the program's umask taken off.
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
}

impl FileSystem {
    /// Creates and opens a file.
    pub(crate) fn create(
        &self,
        parent: u64,
        name: &OsStr,
        new: NewFile,
        flags: i32,
        register: Register<'_>,
    ) -> Result<(Found, Opened), Errno> {
        check_length(name)?;
        let is_new = self.create_name(parent, name, new)?;
        if !is_new && is_set(flags, OFlags::EXCL) {
            return Err(Errno::EEXIST);
        }
        let found = self.look_up(parent, name)?;
        let Found::Inode { inode, .. } = &found else { return Err(Errno::ENOENT) };
        let opened = self.open_created(inode, is_new, flags, register);
        if opened.is_err() {
            self.inodes.forget(inode.number, 1);
        }
        Ok((found, opened?))
    }

    fn open_created(
        &self,
        inode: &Arc<Inode>,
        is_new: bool,
        flags: i32,
        register: Register<'_>,
    ) -> Result<Opened, Errno> {
        if matches!(inode.target(), Target::Virtual(_)) {
            return Err(Errno::EACCES);
        }
        if !is_new && is_set(flags, OFlags::TRUNC) {
            self.set_len(inode, 0)?;
        }
        self.open_file(inode, flags, register)
    }

    /// Creates the file and says whether it is new.
    fn create_name(&self, parent: u64, name: &OsStr, new: NewFile) -> Result<bool, Errno> {
        if parent != ROOT {
            return self.create_local(parent, name, new);
        }
        if let Name::Sidecar(base, File::Journal | File::Wal) = Name::of(name) {
            self.decide_for_journal_of(&base)?;
        }
        let resolved = {
            let _names = self.hold_names();
            self.resolve(name)?
        };
        match (resolved, Name::of(name)) {
            (Resolved::Database(..), _) => Ok(false),
            // Never ENOSYS: the kernel would stop to send any CREATE.
            (Resolved::Virtual(_), _) | (_, Name::Primary | Name::Lag) => Err(Errno::EACCES),
            (Resolved::Missing(_), Name::Position(_) | Name::HaltLock(_)) => Err(Errno::EACCES),
            (Resolved::Local, _) => self.create_local(parent, name, new),
            (Resolved::Missing(_), Name::Sidecar(base, file)) => {
                let database = self.live(&base)?.ok_or(Errno::ENOENT)?;
                self.create_sidecar(&database, file, Some((new.mode, new.owner)))?;
                Ok(true)
            }
            (Resolved::Missing(_), Name::Plain(name)) => {
                let _names = self.change_names();
                let database = self.databases.create(&name)?;
                self.own(&*database, File::Database, new.mode, new.owner)?;
                Ok(true)
            }
            (Resolved::Missing(_), Name::Foreign | Name::SuperJournal) => Err(self.refuse("create", name)),
        }
    }

    fn create_local(&self, parent: u64, name: &OsStr, new: NewFile) -> Result<bool, Errno> {
        let place = self.inodes.place_of(&*self.inodes.get(parent)?)?.child(name);
        match self.local.create_file(&place, new.mode, new.owner) {
            Ok(_) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Creates a journal, WAL or wal-index. On a replica it takes its mode from the database and not from SQLite, which
    /// sees the database as read-only there and would make files that nobody can write after a promotion.
    pub(super) fn create_sidecar(
        &self,
        database: &Arc<dyn DatabaseFiles>,
        file: File,
        wish: Option<(u32, Owner)>,
    ) -> Result<(), Errno> {
        database.request(Request::Create(file))?;
        match wish {
            Some((mode, owner)) if self.databases.is_primary() => self.own(&**database, file, mode, owner),
            _ => {
                let main = rustix::fs::fstat(database.backing(File::Database)?).map_err(of_call)?;
                let owner = Owner { uid: main.st_uid, gid: main.st_gid };
                self.own(&**database, file, main.st_mode, owner)
            }
        }
    }

    /// Gives a new file of a database its owner and mode.
    pub(super) fn own(
        &self,
        database: &dyn DatabaseFiles,
        file: File,
        mode: u32,
        owner: Owner,
    ) -> Result<(), Errno> {
        let backing = database.backing(file)?;
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        match rustix::fs::fchown(&backing, Some(uid), Some(gid)) {
            // A daemon that is not root cannot give files away.
            Ok(()) | Err(rustix::io::Errno::PERM) => {}
            Err(error) => return Err(of_call(error)),
        }
        rustix::fs::fchmod(&backing, Mode::from_raw_mode(mode)).map_err(of_call)
    }

    pub(crate) fn create_dir(&self, parent: u64, name: &OsStr, new: NewFile) -> Result<Found, Errno> {
        let place = self.place_of_new(parent, name, "create directory")?;
        self.local.create_dir(&place, new.mode, new.owner)?;
        self.look_up(parent, name)
    }

    pub(crate) fn create_node(&self, parent: u64, name: &OsStr, new: NewFile) -> Result<Found, Errno> {
        let place = self.place_of_new(parent, name, "create node")?;
        self.local.create_node(&place, new.mode, new.owner)?;
        self.look_up(parent, name)
    }

    pub(crate) fn create_symlink(
        &self,
        parent: u64,
        name: &OsStr,
        target: &Path,
        owner: Owner,
    ) -> Result<Found, Errno> {
        let place = self.place_of_new(parent, name, "create symbolic link")?;
        self.local.create_symlink(&place, target, owner)?;
        self.look_up(parent, name)
    }

    pub(crate) fn create_link(&self, number: u64, parent: u64, name: &OsStr) -> Result<Found, Errno> {
        let inode = self.inodes.get(number)?;
        let Target::Local = inode.target() else { return Err(self.refuse("link a database to", name)) };
        let place = self.place_of_new(parent, name, "create link")?;
        self.local.link(&self.inodes.place_of(&inode)?, &place)?;
        self.look_up(parent, name)
    }

    /// Where a new local file of any kind but the regular one may go.
    pub(super) fn place_of_new(&self, parent: u64, name: &OsStr, what: &str) -> Result<Place, Errno> {
        check_length(name)?;
        if !self.is_local_allowed() {
            return Err(self.refuse(what, name));
        }
        if parent == ROOT {
            let _names = self.hold_names();
            match self.resolve(name)? {
                Resolved::Local => {}
                Resolved::Database(..) | Resolved::Virtual(_) => return Err(Errno::EEXIST),
                // The names beside a database are its own, whether the files exist or not.
                Resolved::Missing(_) => return Err(Errno::EPERM),
            }
        }
        Ok(self.inodes.place_of(&*self.inodes.get(parent)?)?.child(name))
    }

    pub(crate) fn read_link(&self, number: u64) -> Result<Vec<u8>, Errno> {
        let inode = self.inodes.get(number)?;
        let Target::Local = inode.target() else { return Err(Errno::EINVAL) };
        self.local.read_link(&self.inodes.place_of(&inode)?)
    }
}
