//! What is in a directory.

use std::ffi::OsStr;
use std::sync::Arc;

use fuser::FileType;
use litefs_core::{Errno, File};

use super::attributes;
use super::file_system::FileSystem;
use super::handles::{Entry, Handle};
use super::inode::{Inode, Target};
use super::inodes::{ROOT, lock};
use super::local_dir::Place;
use super::names::{Name, file_name};

/// What libfuse shows for a number that is not known yet. Programs that need the number ask for it.
const UNKNOWN: u64 = 0xffff_ffff;

impl FileSystem {
    pub(crate) fn open_dir(&self, number: u64) -> Result<u64, Errno> {
        let inode = self.inodes.get(number)?;
        Ok(self.handles.add(Handle::Directory(inode, std::sync::Mutex::default())))
    }

    /// The entries from `offset` on with the directory's number. Reading from the start looks again.
    pub(crate) fn read_dir(&self, handle: u64, offset: u64) -> Result<(u64, Vec<Entry>), Errno> {
        let handle = self.handles.get(handle)?;
        let Handle::Directory(inode, entries) = &*handle else { return Err(Errno::ENOTDIR) };
        let mut entries = lock(entries);
        if offset == 0 {
            *entries = self.list(inode.number)?;
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(entries.len());
        Ok((inode.number, entries[start..].to_vec()))
    }

    fn list(&self, number: u64) -> Result<Vec<Entry>, Errno> {
        let mut entries: Vec<_> = [".", ".."].map(|name| entry(name, FileType::Directory)).into();
        if number == ROOT {
            let _names = self.hold_names();
            self.list_root(&mut entries)?;
            return Ok(entries);
        }
        let inode = self.inodes.get(number)?;
        let Target::Local = inode.target() else { return Err(Errno::ENOTDIR) };
        entries.extend(self.list_local(&self.inodes.place_of(&inode)?)?);
        Ok(entries)
    }

    /// In the order of LiteFS. Positions are left out where the mount is an ordinary directory too: a program that
    /// copies or removes what it finds there cannot do so with them.
    fn list_root(&self, entries: &mut Vec<Entry>) -> Result<(), Errno> {
        let file = |name: &str| entry(name, FileType::RegularFile);
        entries.push(file(".lag"));
        if self.databases.primary_hostname().is_some() {
            entries.push(file(".primary"));
        }
        for database in self.databases.databases() {
            let Some(len) = database.len(File::Database)? else { continue };
            if len == 0 && database.page_count() == 0 && !self.is_local_allowed() {
                continue;
            }
            let name = database.name();
            entries.push(file(name.as_str()));
            if !self.is_local_allowed() {
                entries.push(file(&format!("{name}-pos")));
            }
            for sidecar in [File::Journal, File::Shm, File::Wal] {
                if database.len(sidecar)?.is_some() {
                    entries.extend(file_name(&name, sidecar).as_deref().map(file));
                }
            }
        }
        for local in self.list_local(&Place::root())? {
            if !self.is_hidden(&local)? {
                entries.push(local);
            }
        }
        Ok(())
    }

    /// Whether a database of the same name, which came from the primary, hides a local file.
    fn is_hidden(&self, local: &Entry) -> Result<bool, Errno> {
        Ok(match Name::of(&local.name) {
            Name::Plain(name) | Name::Sidecar(name, _) => self.live(&name)?.is_some(),
            Name::Position(name) | Name::HaltLock(name) => self.databases.database(&name).is_some(),
            Name::Primary | Name::Lag => true,
            Name::SuperJournal | Name::Foreign => false,
        })
    }

    fn list_local(&self, place: &Place) -> Result<Vec<Entry>, Errno> {
        let mut names = self.local.list(place)?;
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(names.into_iter().map(|(name, kind)| Entry { name, kind: attributes::kind(kind) }).collect())
    }

    /// The number to show for a name in a directory where only names are read.
    pub(crate) fn number_in_listing(&self, directory: u64, name: &OsStr) -> u64 {
        if name == "." {
            return directory;
        }
        if name == ".." {
            let above = |inode: Arc<Inode>| inode.state().names.first().map(|(parent, _)| *parent);
            return self.inodes.get(directory).ok().and_then(above).unwrap_or(ROOT);
        }
        UNKNOWN
    }
}

fn entry(name: &str, kind: FileType) -> Entry {
    Entry { name: name.into(), kind }
}
