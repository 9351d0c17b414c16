//! From a name to an inode, and `stat`.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use fuser::{FileAttr, FileType, INodeNo};
use litefs_core::database::JournalMode;
use litefs_core::{Errno, File};

use super::attributes::{self, LONG, NONE};
use super::errno::of_call;
use super::file_system::FileSystem;
use super::inode::{Inode, Key, Target, VirtualName};
use super::inodes::ROOT;
use super::local_dir::Place;
use super::names::Name;
use crate::databases::DatabaseFiles;

/// What a name in the root directory is at this moment.
#[derive(Debug)]
pub(super) enum Resolved {
    Database(Arc<dyn DatabaseFiles>, File),
    Virtual(VirtualName),
    /// A local file, if there is one.
    Local,
    /// Nothing, and the kernel may believe so for this long.
    Missing(Duration),
}

/// The answer to a lookup.
#[derive(Debug)]
pub(crate) enum Found {
    Inode { inode: Arc<Inode>, attr: FileAttr, attr_ttl: Duration, entry_ttl: Duration },
    Missing(Duration),
}

impl FileSystem {
    /// Finds what has this name and counts a reference of the kernel.
    pub(crate) fn look_up(&self, parent: u64, name: &OsStr) -> Result<Found, Errno> {
        check_length(name)?;
        if parent != ROOT {
            return self.look_up_local(parent, name);
        }
        let _names = self.hold_names();
        let (inode, entry_ttl) = match self.resolve(name)? {
            Resolved::Database(database, file) => {
                let key = Key::database(&database, file);
                (self.inodes.look_up(key, Target::Database(database, file)), LONG)
            }
            Resolved::Virtual(name) => {
                let ttl = if matches!(name, VirtualName::Primary) { NONE } else { LONG };
                (self.inodes.look_up(Key::Virtual(name.clone()), Target::Virtual(name)), ttl)
            }
            Resolved::Local => return self.look_up_local(parent, name),
            Resolved::Missing(ttl) => return Ok(Found::Missing(ttl)),
        };
        self.found(inode, entry_ttl)
    }

    /// What the name stands for. The caller holds the names.
    pub(super) fn resolve(&self, name: &OsStr) -> Result<Resolved, Errno> {
        let elsewhere = |ttl| if self.is_local_allowed() { Resolved::Local } else { Resolved::Missing(ttl) };
        Ok(match Name::of(name) {
            Name::Primary if self.databases.primary_hostname().is_some() => {
                Resolved::Virtual(VirtualName::Primary)
            }
            Name::Primary => Resolved::Missing(NONE),
            Name::Lag => Resolved::Virtual(VirtualName::Lag),
            Name::Position(base) if self.databases.database(&base).is_some() => {
                Resolved::Virtual(VirtualName::Position(base))
            }
            Name::HaltLock(base) if self.databases.database(&base).is_some() => {
                Resolved::Virtual(VirtualName::HaltLock(base))
            }
            // Who has just created a database looks for its position next.
            Name::Position(_) | Name::HaltLock(_) => elsewhere(NONE),
            Name::SuperJournal => Resolved::Local,
            Name::Sidecar(base, file) => match self.live(&base)? {
                Some(database) => self.resolve_sidecar(database, file)?,
                None => elsewhere(LONG),
            },
            Name::Plain(name) => match self.live(&name)? {
                Some(database) => Resolved::Database(database, File::Database),
                None => elsewhere(LONG),
            },
            Name::Foreign => elsewhere(LONG),
        })
    }

    fn resolve_sidecar(&self, database: Arc<dyn DatabaseFiles>, file: File) -> Result<Resolved, Errno> {
        if database.len(file)?.is_some() {
            return Ok(Resolved::Database(database, file));
        }
        if self.databases.is_primary() {
            return Ok(Resolved::Missing(LONG));
        }
        // An ordinary user may not create files in the read-only root of a replica, and SQLite cannot even read a WAL
        // database without these two.
        if database.journal_mode() == JournalMode::Wal && matches!(file, File::Wal | File::Shm) {
            self.create_sidecar(&database, file, None)?;
            return Ok(Resolved::Database(database, file));
        }
        Ok(Resolved::Missing(NONE))
    }

    fn look_up_local(&self, parent: u64, name: &OsStr) -> Result<Found, Errno> {
        let place = self.inodes.place_of(&*self.inodes.get(parent)?)?.child(name);
        match self.local.stat(&place) {
            Ok(stat) => {
                let inode = self.inodes.look_up(Key::local(&stat), Target::Local);
                inode.state().names.insert((parent, name.to_owned()));
                let attr = attributes::of_stat(inode.number, &stat);
                Ok(Found::Inode { inode, attr, attr_ttl: LONG, entry_ttl: LONG })
            }
            Err(Errno::ENOENT) => Ok(Found::Missing(LONG)),
            Err(error) => Err(error),
        }
    }

    /// The answer for an inode just looked up; gives the reference back if its file has vanished.
    fn found(&self, inode: Arc<Inode>, entry_ttl: Duration) -> Result<Found, Errno> {
        match self.attributes(&inode) {
            Ok((attr, attr_ttl)) => Ok(Found::Inode { inode, attr, attr_ttl, entry_ttl }),
            Err(error) => {
                self.inodes.forget(inode.number, 1);
                if error == Errno::ENOENT { Ok(Found::Missing(NONE)) } else { Err(error) }
            }
        }
    }

    /// The kernel gives up references.
    pub(crate) fn forget(&self, number: u64, count: u64) {
        self.inodes.forget(number, count);
    }

    /// What `statfs` says: the data directory's file system.
    pub(crate) fn file_system_status(&self) -> Result<rustix::fs::StatVfs, Errno> {
        self.local.file_system()
    }

    /// What `stat` says about the inode of this number.
    pub(crate) fn attributes_of(&self, number: u64) -> Result<(FileAttr, Duration), Errno> {
        let inode = self.inodes.get(number)?;
        if let Some(database) = inode.passed_through_database() {
            database.length_asked();
        }
        self.attributes(&inode)
    }

    /// What `stat` says, and how long the kernel may believe it.
    pub(crate) fn attributes(&self, inode: &Inode) -> Result<(FileAttr, Duration), Errno> {
        let number = inode.number;
        if number == ROOT {
            return Ok((self.root_attributes()?, LONG));
        }
        let of_open = |backing: Arc<std::fs::File>| rustix::fs::fstat(&*backing).map_err(of_call);
        let (target, backing) = {
            let state = inode.state();
            (state.target.clone(), state.opening.backing.clone())
        };
        let stat = match (&target, backing) {
            (Target::Virtual(name), _) => {
                let attr = name.attributes(number, &*self.databases, self.started, self.owner)?;
                return Ok((attr, NONE));
            }
            (_, Some(backing)) => of_open(backing)?,
            (Target::Database(database, file), None) => of_open(Arc::new(database.backing(*file)?))?,
            (Target::Local, None) => self.local.stat(&self.inodes.place_of(inode)?)?,
            (Target::Removed { .. }, None) => return Err(Errno::ESTALE),
        };
        let mut attr = attributes::of_stat(number, &stat);
        if matches!(target, Target::Database(_, File::Database)) && !self.databases.is_primary() {
            attr.perm &= 0o444;
        }
        Ok((attr, LONG))
    }

    /// The root belongs to the databases, unless it is an ordinary directory too.
    fn root_attributes(&self) -> Result<FileAttr, Errno> {
        let stat = self.local.stat(&Place::root())?;
        let attr = attributes::of_stat(ROOT, &stat);
        if self.is_local_allowed() {
            return Ok(attr);
        }
        let perm = if self.databases.is_primary() { 0o777 } else { 0o555 };
        let time = self.started;
        let (uid, gid) = (self.owner.uid, self.owner.gid);
        Ok(FileAttr {
            ino: INodeNo(ROOT),
            kind: FileType::Directory,
            perm,
            nlink: 1,
            uid,
            gid,
            atime: time,
            mtime: time,
            ctime: time,
            ..attr
        })
    }
}

/// Linux's limit, which the kernel leaves to the file system.
pub(super) fn check_length(name: &OsStr) -> Result<(), Errno> {
    if name.len() > litefs_core::DatabaseName::MAX_LEN { Err(Errno::ENAMETOOLONG) } else { Ok(()) }
}
