use std::fmt;
use std::rc::{Rc, Weak};

use litefs_core::{Disk, Errno, File, View};

use crate::machine_disk::Path;
use crate::node::{DiskChange, Node, Process};

/// The files of one database, as the daemon of one life of a node reaches them.
#[derive(Clone)]
pub(crate) struct DatabaseDisk {
    /// The node owns the databases and what serves them.
    node: Weak<Node>,
    database: Rc<str>,
    daemon: Process,
}

impl fmt::Debug for DatabaseDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseDisk({}, {:?})", self.database, self.daemon)
    }
}

impl DatabaseDisk {
    /// The files of `database` for the daemon that runs now.
    pub(crate) fn new(node: &Rc<Node>, database: &Rc<str>) -> Self {
        Self { node: Rc::downgrade(node), database: Rc::clone(database), daemon: node.daemon() }
    }

    fn path(&self, file: File) -> Path {
        Path::Governed(Rc::clone(&self.database), file)
    }

    fn change(&self, file: File, change: DiskChange<'_>) -> Result<(), Errno> {
        self.living()?.change(self.daemon, &self.path(file), change)
    }

    /// The node, as long as the daemon that asks is alive on it.
    fn living(&self) -> Result<Rc<Node>, Errno> {
        self.node.upgrade().filter(|node| node.is_alive(self.daemon)).ok_or(Errno::EIO)
    }
}

impl View for DatabaseDisk {
    fn read_at(&self, file: File, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let node = self.living()?;
        if file == File::Shm && node.is_wal_index_readable() {
            let shm = node.database(&self.database).and_then(|database| database.shm());
            return Ok(shm.map_or(0, |shm| shm.read_from(offset, buf)));
        }
        Ok(node.disk().read_at(&self.path(file), offset, buf))
    }

    fn len(&self, file: File) -> Result<Option<u64>, Errno> {
        Ok(self.living()?.disk().len(&self.path(file)))
    }

    fn segments(&self) -> Result<Vec<u64>, Errno> {
        Ok(self.living()?.disk().segments(&self.database))
    }
}

impl Disk for DatabaseDisk {
    fn write_at(&self, file: File, offset: u64, data: &[u8]) -> Result<(), Errno> {
        self.change(file, DiskChange::Write { offset, data })
    }

    fn set_len(&self, file: File, len: u64) -> Result<(), Errno> {
        self.change(file, DiskChange::SetLen(len))
    }

    fn sync(&self, file: File) -> Result<(), Errno> {
        self.change(file, DiskChange::Sync)
    }

    fn remove(&self, file: File) -> Result<(), Errno> {
        self.change(file, DiskChange::Remove)
    }

    fn rename(&self, from: File, to: File) -> Result<(), Errno> {
        self.change(from, DiskChange::Rename(&self.path(to)))
    }

    fn sync_directory(&self) -> Result<(), Errno> {
        self.change(File::Database, DiskChange::SyncDirectory)
    }
}
