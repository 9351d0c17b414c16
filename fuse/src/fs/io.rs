//! Reading, writing and syncing.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use litefs_core::database::Request;
use litefs_core::{Errno, File};

use super::decide::is_database_start;
use super::errno::of_call;
use super::file_system::FileSystem;
use super::handles::Handle;
use super::inode::{Inode, Key, Target};
use super::inodes::ROOT;
use super::local_dir::Place;
use super::open::io_result;
use crate::databases::DatabaseFiles;

impl FileSystem {
    /// Reads up to `size` bytes at `offset`; fewer at the end of the file.
    pub(crate) fn read(&self, handle: u64, offset: u64, size: usize) -> Result<Vec<u8>, Errno> {
        let inode = match &*self.handles.get(handle)? {
            Handle::File(inode) => Arc::clone(inode),
            Handle::Virtual(content) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
                return Ok(content[start..].iter().take(size).copied().collect());
            }
            Handle::Directory(..) => return Err(Errno::EISDIR),
        };
        let (target, backing) = {
            let state = inode.state();
            (state.target.clone(), state.opening.backing.clone())
        };
        let mut buf = vec![0; size];
        let count = match (target, backing) {
            (Target::Database(database, file), _) => database.read_at(file, offset, &mut buf)?,
            (_, Some(backing)) => read_full(&backing, offset, &mut buf)?,
            (_, None) => return Err(Errno::EBADF),
        };
        buf.truncate(count);
        Ok(buf)
    }

    /// Writes all of `data` at `offset`, or nothing.
    pub(crate) fn write(&self, handle: u64, offset: u64, data: &[u8]) -> Result<(), Errno> {
        if matches!(&*self.handles.get(handle)?, Handle::Virtual(..)) {
            return Err(Errno::EIO);
        }
        let inode = self.file_of(handle)?;
        if data.is_empty() {
            return Ok(());
        }
        if self.is_undecided(&inode)? && is_database_start(offset, data) {
            self.decide_for_database(&inode)?;
        }
        match inode.target() {
            Target::Database(database, file) => {
                if file == File::Database && !self.is_local_allowed() {
                    self.check_first_write(&inode, &*database, offset, data)?;
                }
                database.request(Request::Write { file, offset, data })
            }
            Target::Local | Target::Removed { was_empty: true } => {
                let backing = inode.backing().ok_or(Errno::EBADF)?;
                io_result(backing.write_all_at(data, offset))
            }
            // The transaction would be nowhere: neither in a file with a name nor on another node.
            Target::Removed { was_empty: false } | Target::Virtual(_) => Err(Errno::EIO),
        }
    }

    /// Refuses to fill an empty database with anything but a database.
    fn check_first_write(
        &self,
        inode: &Inode,
        database: &dyn DatabaseFiles,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Errno> {
        if database.page_count() > 0 || is_database_start(offset, data) {
            return Ok(());
        }
        let is_empty = database.len(File::Database)? == Some(0);
        let is_sqlite = database.len(File::Journal)?.is_some() || database.len(File::Wal)?.is_some();
        if !is_empty || is_sqlite {
            return Ok(());
        }
        if std::mem::replace(&mut inode.state().was_refused, true) {
            return Err(Errno::EPERM);
        }
        Err(self.refuse("write", database.name().as_str().as_ref()))
    }

    pub(crate) fn sync(&self, handle: u64, data_only: bool) -> Result<(), Errno> {
        if matches!(&*self.handles.get(handle)?, Handle::Virtual(..)) {
            return Err(Errno::EIO);
        }
        let inode = self.file_of(handle)?;
        if let Target::Database(database, file) = inode.target() {
            return database.request(Request::Sync(file));
        }
        let backing = inode.backing().ok_or(Errno::EBADF)?;
        let sync = if data_only { rustix::fs::fdatasync } else { rustix::fs::fsync };
        sync(&backing).map_err(of_call)
    }

    pub(crate) fn sync_dir(&self, number: u64) -> Result<(), Errno> {
        let place =
            if number == ROOT { Place::root() } else { self.inodes.place_of(&*self.inodes.get(number)?)? };
        self.local.sync_dir(&place)
    }

    /// Cuts or extends a file.
    pub(super) fn set_len(&self, inode: &Inode, len: u64) -> Result<(), Errno> {
        match inode.target() {
            Target::Database(database, file) => {
                let cut = database.request(Request::SetLen { file, len });
                self.forget_overwritten(&database);
                cut
            }
            Target::Local | Target::Removed { was_empty: true } => {
                io_result(self.backing_of(inode)?.set_len(len))
            }
            Target::Removed { was_empty: false } => Err(Errno::EIO),
            // `echo > NAME-pos` is as harmless as it is in LiteFS.
            Target::Virtual(_) => Ok(()),
        }
    }

    /// Has the kernel forget what it has of a database file that the daemon itself has written to: a WAL that goes with
    /// something the file lacks is copied there first.
    pub(super) fn forget_overwritten(&self, database: &Arc<dyn DatabaseFiles>) {
        if !database.take_overwritten() {
            return;
        }
        if let Some(inode) = self.inodes.find(&Key::database(database, File::Database)) {
            // The kernel must not be waited for here. Whoever opens the file next is sure to see it as it is.
            inode.state().opening.is_old = true;
            self.notifier.content_changed(inode.number);
        }
    }

    /// Reserves space for a local file, or makes a WAL longer, as the daemon itself does. Who asks for more of a
    /// database is told that it cannot be had, and writes zeros instead.
    pub(crate) fn allocate(&self, handle: u64, mode: i32, offset: u64, len: u64) -> Result<(), Errno> {
        let inode = self.file_of(handle)?;
        match inode.target() {
            Target::Local => {}
            Target::Database(database, File::Wal) if mode == 0 => {
                return database.extend_wal(offset.saturating_add(len));
            }
            _ => return Err(Errno::EOPNOTSUPP),
        }
        let backing = inode.backing().ok_or(Errno::EBADF)?;
        let mode = rustix::fs::FallocateFlags::from_bits_retain(mode.cast_unsigned());
        rustix::fs::fallocate(&*backing, mode, offset, len).map_err(of_call)
    }
}

/// Reads on after the short reads of the operating system.
fn read_full(file: &std::fs::File, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
    let mut done = 0;
    while done < buf.len() {
        match io_result(file.read_at(&mut buf[done..], offset + done as u64))? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}
