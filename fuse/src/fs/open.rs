//! Opening and closing, and who reads and writes a file: the kernel itself, or the kernel's page cache and the daemon.

use std::fs;
use std::io;
use std::sync::Arc;

use fuser::{BackingId, FopenFlags, OpenAccMode, OpenFlags};
use litefs_core::database::{JournalMode, Request};
use litefs_core::{Errno, File};
use rustix::fs::OFlags;

use super::errno::{of_call, of_io};
use super::file_system::FileSystem;
use super::handles::Handle;
use super::inode::{Inode, State, Target, VirtualName};

/// A new handle.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) handle: u64,
    pub(crate) flags: FopenFlags,
    pub(crate) passthrough: Option<Arc<BackingId>>,
}

/// Registers a backing file with the kernel; only the reply to an open can.
pub(crate) type Register<'a> = &'a dyn Fn(&fs::File) -> io::Result<BackingId>;

impl FileSystem {
    pub(crate) fn open(
        &self,
        number: u64,
        flags: OpenFlags,
        register: Register<'_>,
    ) -> Result<Opened, Errno> {
        let inode = self.inodes.get(number)?;
        if let Target::Virtual(name) = inode.target() {
            return self.open_virtual(&name, flags);
        }
        if is_set(flags.0, OFlags::TRUNC) {
            self.set_len(&inode, 0)?;
        }
        self.open_file(&inode, flags.0, register)
    }

    /// Without the kernel's cache, so that no reader sees a position older than a commit it has seen. Without a flush at
    /// close like every handle: a daemon that dies with files of its own mount open would wait for itself.
    fn open_virtual(&self, name: &VirtualName, flags: OpenFlags) -> Result<Opened, Errno> {
        let writes = flags.acc_mode() != OpenAccMode::O_RDONLY;
        if let (VirtualName::HaltLock(database), true, false) = (name, writes, self.databases.is_primary()) {
            tracing::warn!("cannot halt the primary for {database}: this node does not forward writes");
            return Err(Errno::EIO);
        }
        let content = name.content(&*self.databases)?;
        let handle = self.handles.add(Handle::Virtual(content));
        let flags = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NOFLUSH;
        Ok(Opened { handle, flags, passthrough: None })
    }

    /// Adds a handle to the inode, served as the handles that are open already.
    pub(super) fn open_file(
        &self,
        inode: &Arc<Inode>,
        flags: i32,
        register: Register<'_>,
    ) -> Result<Opened, Errno> {
        let place = matches!(inode.target(), Target::Local).then(|| self.inodes.place_of(inode));
        let mut state = inode.state();
        if state.opening.count == 0 {
            let backing = match (&state.target, place) {
                (Target::Database(database, file), _) => database.backing(*file)?,
                (Target::Local, Some(place)) => self.local.open_file(&place?)?,
                _ => return Err(Errno::ESTALE),
            };
            state.opening.passthrough = self.pass_through(&state, &backing, register)?;
            state.opening.backing = Some(Arc::new(backing));
            if let (Target::Database(database, File::Database), Some(_)) =
                (&state.target, &state.opening.passthrough)
            {
                database.set_unseen_writes(true);
            }
        }
        state.opening.count += 1;
        let is_old = std::mem::take(&mut state.opening.is_old);
        let passthrough = state.opening.passthrough.clone();
        drop(state);
        let handle = self.handles.add(Handle::File(Arc::clone(inode)));
        let mut served = FopenFlags::empty();
        // SQLite reads what it writes. Who only writes, as cp does, expects the file to be there after closing it.
        served.set(
            FopenFlags::FOPEN_NOFLUSH,
            flags & OFlags::RWMODE.bits().cast_signed() != OFlags::WRONLY.bits().cast_signed(),
        );
        served.set(FopenFlags::FOPEN_KEEP_CACHE, passthrough.is_none() && !is_old);
        Ok(Opened { handle, flags: served, passthrough })
    }

    /// A program closes a handle that only writes, and waits. What it wrote without a journal is captured now, if
    /// nobody else has the file open; the kernel tells of the end of a handle when nobody waits any more.
    pub(crate) fn flush(&self, handle: u64) -> Result<(), Errno> {
        let inode = self.file_of(handle)?;
        let is_last = {
            let state = inode.state();
            state.opening.count == 1 && state.opening.passthrough.is_none()
        };
        match inode.target() {
            Target::Database(database, File::Database) if is_last => database.request(Request::Closed),
            _ => Ok(()),
        }
    }

    fn pass_through(
        &self,
        state: &State,
        backing: &fs::File,
        register: Register<'_>,
    ) -> Result<Option<Arc<BackingId>>, Errno> {
        let wanted = match &state.target {
            // In a rollback journal's time the writes must be seen; in WAL mode they are known from the WAL.
            Target::Database(database, File::Database) => {
                database.page_count() > 0 && database.journal_mode() == JournalMode::Wal
            }
            Target::Database(_, file) => *file == File::Shm,
            // The first write into an empty file decides what it is.
            Target::Local => rustix::fs::fstat(backing).map_err(of_call)?.st_size > 0,
            Target::Removed { .. } | Target::Virtual(_) => false,
        };
        if !wanted || !self.uses_passthrough() {
            return Ok(None);
        }
        match register(backing) {
            Ok(id) => Ok(Some(Arc::new(id))),
            Err(error) => {
                tracing::debug!(
                    "the kernel does not take over a file, so it goes through the daemon: {error}"
                );
                Ok(None)
            }
        }
    }

    pub(crate) fn release(&self, handle: u64) -> Result<(), Errno> {
        let handle = self.handles.remove(handle).ok_or(Errno::EBADF)?;
        let Handle::File(inode) = &*handle else { return Ok(()) };
        let mut state = inode.state();
        state.opening.count = state.opening.count.saturating_sub(1);
        if state.opening.count > 0 {
            return Ok(());
        }
        state.opening.backing = None;
        let passthrough = state.opening.passthrough.take();
        let was_refused = std::mem::take(&mut state.was_refused);
        let Target::Database(database, File::Database) = state.target.clone() else { return Ok(()) };
        drop(state);
        if passthrough.is_some() {
            database.set_unseen_writes(false);
        }
        if was_refused && database.len(File::Database)? == Some(0) {
            return self.remove_refused(&database);
        }
        database.request(Request::Closed)
    }

    /// The handle's inode, for a handle of a file.
    pub(super) fn file_of(&self, handle: u64) -> Result<Arc<Inode>, Errno> {
        match &*self.handles.get(handle)? {
            Handle::File(inode) => Ok(Arc::clone(inode)),
            Handle::Virtual(..) | Handle::Directory(..) => Err(Errno::EINVAL),
        }
    }

    /// A backing handle for one call: the one of the open handles, or a fresh one.
    pub(super) fn backing_of(&self, inode: &Inode) -> Result<Arc<fs::File>, Errno> {
        if let Some(backing) = inode.backing() {
            return Ok(backing);
        }
        match inode.target() {
            Target::Database(database, file) => database.backing(file).map(Arc::new),
            Target::Local => self.local.open_file(&self.inodes.place_of(inode)?).map(Arc::new),
            Target::Removed { .. } => Err(Errno::ESTALE),
            Target::Virtual(_) => Err(Errno::EINVAL),
        }
    }
}

/// Whether an open flag is set.
pub(super) fn is_set(flags: i32, flag: OFlags) -> bool {
    OFlags::from_bits_retain(flags.cast_unsigned()).contains(flag)
}

/// Tells an error of the standard library to the kernel.
pub(super) fn io_result<T>(result: io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| of_io(&error))
}
