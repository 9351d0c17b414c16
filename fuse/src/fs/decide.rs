//! Whether a new file is a database or a file of this node alone, where both are allowed.
//!
//! SQLite creates a file long before it writes to it. So a new file begins as a local one, and what comes first decides:
//! a write as SQLite makes it, or a journal or WAL beside the empty file, makes it a database. Anything else leaves it
//! local until it is empty again. The inode stays the same, and handles opened before go on with the database.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use litefs_core::database::Request;
use litefs_core::{DatabaseName, Errno, File};
use rustix::fs::{FileType, Stat};

use super::errno::of_call;
use super::file_system::FileSystem;
use super::inode::{Inode, Key, Target};
use super::inodes::ROOT;
use super::local_dir::{Owner, Place};
use super::names::{Name, file_name};
use super::open::io_result;
use crate::databases::DatabaseFiles;

/// How every database begins (SQLite file format 1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Whether this can be the first write to a database: its header, or a page from a transaction that does not fit into
/// SQLite's cache, which spills later pages first.
pub(super) fn is_database_start(offset: u64, data: &[u8]) -> bool {
    if offset == 0 {
        return data.starts_with(MAGIC);
    }
    let is_page = data.len().is_power_of_two() && (512..=65536).contains(&data.len());
    is_page && offset.is_multiple_of(data.len() as u64)
}

/// Whether a local file can still become a database, as far as the file itself tells.
fn is_blank(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_size == 0 && stat.st_nlink == 1
}

impl FileSystem {
    /// Whether the next write decides what the file is.
    pub(super) fn is_undecided(&self, inode: &Inode) -> Result<bool, Errno> {
        if !self.is_local_allowed() {
            return Ok(false);
        }
        let state = inode.state();
        let (Target::Local, Some(backing)) = (&state.target, &state.opening.backing) else {
            return Ok(false);
        };
        let is_plain = state.names.first().is_some_and(|(parent, name)| {
            *parent == ROOT && state.names.len() == 1 && matches!(Name::of(name), Name::Plain(_))
        });
        Ok(is_plain && is_blank(&rustix::fs::fstat(&**backing).map_err(of_call)?))
    }

    /// Makes a database of the undecided file behind `inode`.
    pub(super) fn decide_for_database(&self, inode: &Inode) -> Result<(), Errno> {
        let _names = self.change_names();
        let place = match inode.target() {
            Target::Local => self.inodes.place_of(inode)?,
            _ => return Ok(()),
        };
        let Name::Plain(name) = Name::of(&place.name) else { return Ok(()) };
        self.make_database(&name, &place)
    }

    /// Makes a database of the local file `name` if it is still undecided, because SQLite begins a transaction in it.
    pub(super) fn decide_for_journal_of(&self, name: &DatabaseName) -> Result<(), Errno> {
        if !self.is_local_allowed() {
            return Ok(());
        }
        let _names = self.change_names();
        let place = Place::in_root(name.as_str().as_ref());
        match self.local.stat(&place) {
            Ok(stat) if is_blank(&stat) && self.live(name)?.is_none() => self.make_database(name, &place),
            Ok(_) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The caller may change names. The local file is empty, so nothing is copied.
    fn make_database(&self, name: &DatabaseName, place: &Place) -> Result<(), Errno> {
        let stat = self.local.stat(place)?;
        let database = self.databases.create(name)?;
        let owner = Owner { uid: stat.st_uid, gid: stat.st_gid };
        self.own(&*database, File::Database, stat.st_mode, owner)?;
        self.hand_over(&stat, &database, File::Database)?;
        self.local.unlink(place)?;
        for file in [File::Journal, File::Wal, File::Shm] {
            self.adopt_sidecar(name, &database, file)?;
        }
        Ok(())
    }

    /// A journal or WAL that was copied here before its database belongs to the database from now on.
    fn adopt_sidecar(
        &self,
        name: &DatabaseName,
        database: &Arc<dyn DatabaseFiles>,
        file: File,
    ) -> Result<(), Errno> {
        let Some(text) = file_name(name, file) else { return Ok(()) };
        let place = Place::in_root(text.as_ref());
        let stat = match self.local.stat(&place) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => stat,
            Ok(_) | Err(Errno::ENOENT) => return Ok(()),
            Err(error) => return Err(error),
        };
        let owner = Owner { uid: stat.st_uid, gid: stat.st_gid };
        self.create_sidecar(database, file, Some((stat.st_mode, owner)))?;
        let content = self.local.open_file(&place)?;
        let mut buf = vec![0; 64 * 1024];
        let mut offset = 0;
        loop {
            let count = io_result(content.read_at(&mut buf, offset))?;
            if count == 0 {
                break;
            }
            database.request(Request::Write { file, offset, data: &buf[..count] })?;
            offset += count as u64;
        }
        self.hand_over(&stat, database, file)?;
        self.local.unlink(&place)
    }

    /// Lets the inode of a local file, if the kernel knows it, stand for a file of a database.
    fn hand_over(&self, stat: &Stat, database: &Arc<dyn DatabaseFiles>, file: File) -> Result<(), Errno> {
        match self.inodes.find(&Key::local(stat)) {
            Some(inode) => self.inodes.give_to_database(&inode, database, file),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_header_or_a_spilled_page_begins_a_database() {
        let mut header = vec![0; 4096];
        header[..16].copy_from_slice(MAGIC);
        assert!(is_database_start(0, &header));
        assert!(is_database_start(8192, &[7; 4096]));
        assert!(!is_database_start(0, &[7; 4096]));
        assert!(!is_database_start(0, b"SQLite"));
        assert!(!is_database_start(100, &[7; 4096]));
        assert!(!is_database_start(4096, &[7; 4095]));
        assert!(!is_database_start(1 << 20, &[7; 1 << 20]));
    }
}
