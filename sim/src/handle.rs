use std::cell::RefCell;
use std::rc::Rc;

use litefs_core::database::Request;
use litefs_core::{Errno, File};

use crate::database::Database;
use crate::locks::{Holder, Kind, Level, Unit};
use crate::machine_disk::Path;
use crate::node::{DiskChange, Node, Process};
use crate::shm::Shm;
use crate::topic::Topic;

/// Bytes in a page of the kernel's cache, at whose boundaries it may split a write.
const KERNEL_PAGE: u64 = 4096;

/// A file that SQLite has open.
#[derive(Debug)]
pub(crate) struct Handle {
    node: Rc<Node>,
    process: Process,
    target: Target,
    delete_on_close: bool,
}

#[derive(Debug)]
enum Target {
    /// A file of a database. Only the database file itself has a holder of locks.
    Governed {
        database: Rc<Database>,
        file: File,
        holder: Holder,
        shm: RefCell<Option<Rc<Shm>>>,
        /// What the name of the database file or the WAL stood for.
        inode: Option<u64>,
    },
    /// A file that nobody governs.
    Plain(Path),
}

/// What SQLite means by a file name.
#[derive(Debug)]
pub(crate) enum Named {
    /// A file of a database.
    Governed(Rc<Database>, File),
    /// Any other file.
    Plain(Path),
}

impl Named {
    /// What `file` is on `node`.
    pub(crate) fn new(node: &Node, file: &str) -> Self {
        let (base, kind) = if let Some(base) = file.strip_suffix("-journal") {
            (base, File::Journal)
        } else if let Some(base) = file.strip_suffix("-wal") {
            (base, File::Wal)
        } else {
            (file, File::Database)
        };
        node.database(base)
            .map_or_else(|| Self::Plain(Path::Plain(file.into())), |database| Self::Governed(database, kind))
    }

    /// Where it is on the node's disk.
    pub(crate) fn path(&self) -> Path {
        match self {
            Self::Governed(database, file) => database.path(*file),
            Self::Plain(path) => path.clone(),
        }
    }

    /// Removes the file.
    pub(crate) fn remove(&self, node: &Node, sync_directory: bool) -> Result<(), Errno> {
        let process = node.current_process();
        match self {
            Self::Governed(database, file) => database.request(node, process, Request::Remove(*file)),
            Self::Plain(path) => {
                node.change(process, path, DiskChange::Remove)?;
                node.maybe_die_after_super_journal(process);
                if !sync_directory {
                    return Ok(());
                }
                let synced = node.change(process, path, DiskChange::SyncDirectory);
                if synced.is_err() {
                    node.note_commit_seems_failed();
                }
                synced
            }
        }
    }
}

impl Handle {
    /// Opens a file, creating it if asked to.
    pub(crate) fn open(
        node: Rc<Node>,
        name: &str,
        create: bool,
        delete_on_close: bool,
    ) -> Result<Self, Errno> {
        let process = node.current_process();
        node.maybe_pause(process)?;
        let named = Named::new(&node, name);
        if node.disk().len(&named.path()).is_none() {
            if !create {
                return Err(Errno::ENOENT);
            }
            match &named {
                Named::Governed(database, file) => database.create(&node, process, *file)?,
                Named::Plain(path) => node.change(process, path, DiskChange::SetLen(0))?,
            }
        }
        let target = match named {
            Named::Governed(database, file) => {
                let holder =
                    if file == File::Database { database.open(&node, process)? } else { Holder::MAX };
                let lasting = matches!(file, File::Database | File::Wal);
                let inode = lasting.then(|| node.open_file(&database.path(file))).flatten();
                Target::Governed { database, file, holder, shm: RefCell::default(), inode }
            }
            Named::Plain(path) => Target::Plain(path),
        };
        Ok(Self { node, process, target, delete_on_close })
    }

    /// Reads up to `buf.len()` bytes.
    pub(crate) fn read(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        self.node.maybe_pause(self.process)?;
        if let Some(inode) = self.parted() {
            return Ok(self.node.disk().read_open(inode, offset, buf));
        }
        Ok(match &self.target {
            Target::Governed { database, file, .. } => {
                self.node.disk().read_at(&database.path(*file), offset, buf)
            }
            Target::Plain(path) => self.node.disk().read_at(path, offset, buf),
        })
    }

    /// Writes all of `data`.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        self.expect_name()?;
        match &self.target {
            Target::Governed { database, file: File::Database, .. } if database.is_passthrough() => {
                let path = database.path(File::Database);
                self.node.change(self.process, &path, DiskChange::Write { offset, data })
            }
            Target::Governed { database, file, .. } => {
                let send = |offset, data| {
                    let request = Request::Write { file: *file, offset, data };
                    database.request(&self.node, self.process, request)
                };
                let first = usize::try_from(KERNEL_PAGE - offset % KERNEL_PAGE).unwrap_or(data.len());
                if first >= data.len() || !self.node.splits_writes() {
                    return send(offset, data);
                }
                send(offset, &data[..first])?;
                let rest = offset + first as u64;
                // The kernel reports an error in the second piece as a short write, so SQLite writes the rest again.
                send(rest, &data[first..]).or_else(|_| send(rest, &data[first..]))
            }
            Target::Plain(path) => self.node.change(self.process, path, DiskChange::Write { offset, data }),
        }
    }

    /// Cuts or extends the file.
    pub(crate) fn set_len(&self, len: u64) -> Result<(), Errno> {
        self.expect_name()?;
        match &self.target {
            Target::Governed { database, file, .. } => {
                let cut = database.request(&self.node, self.process, Request::SetLen { file: *file, len });
                if cut.is_err() && *file == File::Database {
                    self.node.note_commit_seems_failed();
                }
                cut
            }
            Target::Plain(path) => self.node.change(self.process, path, DiskChange::SetLen(len)),
        }
    }

    /// Makes the file durable, and the name of one that nobody governs too.
    pub(crate) fn sync(&self) -> Result<(), Errno> {
        self.expect_name()?;
        match &self.target {
            Target::Governed { database, file, .. } => {
                database.request(&self.node, self.process, Request::Sync(*file))
            }
            Target::Plain(path) => {
                self.node.change(self.process, path, DiskChange::Sync)?;
                self.node.change(self.process, path, DiskChange::SyncDirectory)
            }
        }
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> Result<u64, Errno> {
        if !self.node.is_alive(self.process) {
            return Err(Errno::EIO);
        }
        if let Some(inode) = self.parted() {
            return Ok(self.node.disk().len_open(inode));
        }
        Ok(match &self.target {
            Target::Governed { database, file, .. } => self.node.disk().len(&database.path(*file)),
            Target::Plain(path) => self.node.disk().len(path),
        }
        .unwrap_or(0))
    }

    /// Raises the lock on the database file; false means busy.
    pub(crate) fn lock(&self, level: Level) -> Result<bool, Errno> {
        self.node.maybe_pause(self.process)?;
        Ok(self.holder().is_none_or(|(database, holder)| database.locks.borrow_mut().raise(holder, level)))
    }

    /// Lowers the lock on the database file.
    pub(crate) fn unlock(&self, level: Level) {
        if let Some((database, holder)) = self.holder() {
            database.locks.borrow_mut().lower(holder, level);
        }
    }

    /// Whether anybody will write the database file or does.
    pub(crate) fn is_reserved(&self) -> bool {
        self.holder().is_some_and(|(database, _)| database.locks.borrow().is_reserved())
    }

    /// The address of a region of the wal-index, null if there is none; `None` while somebody sets it up.
    pub(crate) fn map_region(&self, region: usize, extend: bool) -> Result<Option<*mut u64>, Errno> {
        self.node.maybe_pause(self.process)?;
        let Target::Governed { database, shm, holder, .. } = &self.target else { return Err(Errno::EINVAL) };
        let mut shm = shm.borrow_mut();
        if shm.is_none() {
            self.expect_name()?;
            *shm = database.map_shm(*holder);
        }
        Ok(shm.as_ref().map(|shm| shm.region(region, extend)))
    }

    /// Gives up the wal-index, and removes it if asked to.
    pub(crate) fn unmap(&self, remove: bool) {
        if let Target::Governed { database, shm, holder, .. } = &self.target
            && shm.take().is_some()
        {
            database.unmapped_shm(*holder);
            if remove && self.node.is_alive(self.process) {
                database.remove_shm();
            }
        }
    }

    /// Takes (`Some(exclusively)`) or gives up (`None`) locks of the wal-index; false means busy.
    pub(crate) fn lock_slots(
        &self,
        slots: std::ops::Range<usize>,
        exclusively: Option<bool>,
    ) -> Result<bool, Errno> {
        // A lock that is given up goes even if the process is ending.
        if exclusively.is_some() {
            self.node.maybe_pause(self.process)?;
        }
        let Some((database, holder)) = self.holder() else { return Ok(true) };
        let mut locks = database.locks.borrow_mut();
        Ok(match exclusively {
            Some(true) => locks.try_lock(holder, Unit::slots(slots), Kind::Write),
            Some(false) => locks.try_lock(holder, Unit::slots(slots), Kind::Read),
            None => {
                locks.unlock(holder, Unit::slots(slots));
                true
            }
        })
    }

    /// Whether SQLite may assume that a torn write leaves the bytes around it alone.
    pub(crate) fn is_powersafe(&self) -> bool {
        self.node.is_powersafe()
    }

    /// Whether the name stands for another file by now, or for none.
    pub(crate) fn has_moved(&self) -> bool {
        self.parted().is_some()
    }

    /// Closes the file.
    pub(crate) fn close(self) {
        if let Target::Governed { inode: Some(inode), .. } = &self.target
            && self.node.generation() == self.process.generation()
        {
            self.node.close_file(*inode);
        }
        match &self.target {
            Target::Governed { database, file: File::Database, holder, .. } => {
                database.close(&self.node, self.process, *holder);
            }
            Target::Plain(path) if self.delete_on_close => {
                let removed = self.node.change(self.process, path, DiskChange::Remove);
                self.node.record.event_of(Topic::Disk, format_args!("{path} closed {removed:?}"));
            }
            _ => {}
        }
    }

    /// What it is if it was removed since, or another file has its name. Whoever has it open keeps what it has.
    fn parted(&self) -> Option<u64> {
        let Target::Governed { database, file, inode, .. } = &self.target else { return None };
        inode.filter(|inode| self.node.disk().inode(&database.path(*file)) != Some(*inode))
    }

    /// What is written to a file without a name would be nowhere.
    fn expect_name(&self) -> Result<(), Errno> {
        if self.parted().is_some() { Err(Errno::EIO) } else { Ok(()) }
    }

    /// Who holds the locks; nobody if the file has no name, because all who open it from now on open another.
    fn holder(&self) -> Option<(&Database, Holder)> {
        match &self.target {
            Target::Governed { file: File::Database, .. } if self.parted().is_some() => None,
            Target::Governed { database, file: File::Database, holder, .. } => Some((database, *holder)),
            _ => None,
        }
    }
}
