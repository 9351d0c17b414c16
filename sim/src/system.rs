use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use litefs_core::apply::{
    BackingFile, Clock, FileIdentity, FileLocks, IndexBytes, LockKind, LockRange, System, Trouble,
};
use litefs_core::{Errno, File, ReadAt, WriteAt};

use crate::coroutine;
use crate::database::Database;
use crate::locks::{Holder, Kind, Unit};
use crate::machine_disk::Path;
use crate::node::{DiskChange, Node, Process};
use crate::shm::{REGION, Shm};

/// What the applier of a simulated daemon works on: the locks and the shared memory that SQLite uses in other processes of
/// the same machine, and its disk.
#[derive(Clone, Debug)]
pub(crate) struct SimSystem {
    node: Rc<Node>,
    database: Rc<Database>,
    daemon: Process,
}

impl SimSystem {
    /// For a database of the daemon that runs now.
    pub(crate) fn new(node: &Rc<Node>, database: &Rc<Database>) -> Self {
        Self { node: Rc::clone(node), database: Rc::clone(database), daemon: node.daemon() }
    }

    /// A backing file as it is now, `None` if it is missing.
    pub(crate) fn existing(&self, file: File) -> Option<SimFile> {
        let path = self.database.path(file);
        let inode = self.node.open_file(&path)?;
        Some(SimFile { system: self.clone(), path, inode })
    }

    fn check(&self) -> Result<(), Errno> {
        self.node.maybe_pause(self.daemon)
    }

    fn open_locks(&self, file: File) -> Result<SimLocks, Errno> {
        let holder = match file {
            File::Database => self.database.open(&self.node, self.daemon)?,
            _ => self.database.new_holder(),
        };
        Ok(SimLocks { system: self.clone(), file, holder })
    }

    fn tell(&self, what: std::fmt::Arguments<'_>) {
        self.node.record.event(format_args!("{} applier {what}", self.database.name()));
    }
}

impl Clock for SimSystem {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.node.now().monotonic_ns)
    }

    fn sleep(&self, duration: Duration) {
        // Outside of a coroutine there is nobody to wait for.
        coroutine::pause(duration);
    }
}

impl System for SimSystem {
    type Locks = SimLocks;
    type File = SimFile;
    type Index = SimIndex;

    fn open_in_mount(&self, file: File) -> Result<SimLocks, Errno> {
        self.check()?;
        let exists = match file {
            File::Shm => self.database.shm().is_some(),
            _ => self.node.disk().len(&self.database.path(file)).is_some(),
        };
        if exists { self.open_locks(file) } else { Err(Errno::ENOENT) }
    }

    fn create_in_mount(&self, file: File) -> Result<SimLocks, Errno> {
        self.check()?;
        match file {
            File::Shm => self.database.create_shm(),
            _ => self.database.create(&self.node, self.daemon, file)?,
        }
        self.open_locks(file)
    }

    fn open_backing(&self, file: File) -> Result<SimFile, Errno> {
        self.check()?;
        self.existing(file).ok_or(Errno::ENOENT)
    }

    fn backing_len(&self, file: File) -> Result<Option<u64>, Errno> {
        self.check()?;
        Ok(self.node.disk().len(&self.database.path(file)))
    }

    fn create_database(&self) -> Result<(), Errno> {
        let path = self.database.path(File::Database);
        self.node.change(self.daemon, &path, DiskChange::SetLen(0))
    }

    fn remove_backing(&self, file: File) -> Result<bool, Errno> {
        if file == File::Shm {
            self.check()?;
            let existed = self.database.shm().is_some();
            self.database.remove_shm();
            return Ok(existed);
        }
        let path = self.database.path(file);
        if self.node.disk().len(&path).is_none() {
            return Ok(false);
        }
        self.node.change(self.daemon, &path, DiskChange::Remove)?;
        if file == File::Database {
            self.database.part_all();
        }
        Ok(true)
    }

    fn database_identity(&self) -> Result<Option<FileIdentity>, Errno> {
        self.check()?;
        let inode = self.node.disk().inode(&self.database.path(File::Database));
        Ok(inode.map(|inode| FileIdentity { device: 1, inode }))
    }

    fn open_index(&self) -> Result<SimIndex, Errno> {
        self.check()?;
        let shm = self.database.shm().ok_or(Errno::ENOENT)?;
        shm.grow(1);
        Ok(SimIndex { system: self.clone(), shm })
    }

    fn set_index_len(&self, len: u64) -> Result<(), Errno> {
        self.check()?;
        let shm = self.database.shm().ok_or(Errno::ENOENT)?;
        shm.set_regions(usize::try_from(len).unwrap_or(0) / REGION);
        Ok(())
    }

    fn sync_log(&self) -> Result<(), Errno> {
        self.database.with_engine(&self.node, self.daemon, |engine| engine.driver_mut().sync_log())?
    }

    fn store(&self, _file: File, _offset: u64, _bytes: &[u8]) -> Result<(), Errno> {
        self.check()
    }

    fn invalidate(&self, _file: File, _range: Range<u64>) -> Result<(), Errno> {
        self.check()
    }

    fn resized(&self, _file: File) -> Result<(), Errno> {
        self.check()
    }

    fn created(&self, _file: File) -> Result<(), Errno> {
        self.check()
    }

    fn removed(&self, _file: File) -> Result<(), Errno> {
        self.check()
    }

    fn random(&self) -> Result<u32, Errno> {
        Ok(self.node.draw(|rng| rng.next_u64() as u32))
    }

    fn report(&self, trouble: Trouble<'_>) {
        self.tell(format_args!("{trouble}"));
    }
}

/// A file that the daemon has open in its own mount.
#[derive(Debug)]
pub(crate) struct SimLocks {
    system: SimSystem,
    file: File,
    holder: Holder,
}

impl SimLocks {
    fn units(&self, range: LockRange) -> Vec<Unit> {
        // The ranges of the two files do not overlap.
        Unit::of_bytes(range.start, range.len)
    }
}

impl FileLocks for SimLocks {
    fn try_lock(&self, range: LockRange, kind: LockKind) -> Result<bool, Errno> {
        self.system.check()?;
        let kind = kind_of(kind);
        let taken = self.system.database.locks.borrow_mut().try_lock(self.holder, self.units(range), kind);
        self.system.tell(format_args!("locks {range:?} {kind:?}: {taken}"));
        Ok(taken)
    }

    fn unlock(&self, range: LockRange) -> Result<(), Errno> {
        self.release(range);
        Ok(())
    }

    fn release(&self, range: LockRange) {
        self.system.database.locks.borrow_mut().unlock(self.holder, self.units(range));
    }

    fn is_locked_by_others(&self, range: LockRange) -> Result<bool, Errno> {
        self.system.check()?;
        let locks = self.system.database.locks.borrow();
        Ok(self.units(range).into_iter().any(|unit| !locks.is_free(self.holder, unit, Kind::Write)))
    }
}

impl Drop for SimLocks {
    fn drop(&mut self) {
        let SimSystem { node, database, daemon } = &self.system;
        match self.file {
            File::Database if node.is_alive(*daemon) => database.close(node, *daemon, self.holder),
            _ => database.forget(self.holder),
        }
    }
}

/// A backing file that the daemon has open. One that was removed meanwhile can be read, and what is written to it is lost.
#[derive(Debug)]
pub(crate) struct SimFile {
    system: SimSystem,
    path: Path,
    inode: u64,
}

impl SimFile {
    fn change(&self, change: DiskChange<'_>) -> Result<(), Errno> {
        if self.is_there() {
            self.system.node.change(self.system.daemon, &self.path, change)
        } else {
            self.system.check()
        }
    }

    fn is_there(&self) -> bool {
        self.system.node.disk().inode(&self.path) == Some(self.inode)
    }
}

impl ReadAt for SimFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        self.system.check()?;
        Ok(self.system.node.disk().read_open(self.inode, offset, buf))
    }
}

impl WriteAt for SimFile {
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        self.change(DiskChange::Write { offset, data })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.system.node.close_file(self.inode);
    }
}

impl BackingFile for SimFile {
    fn len(&self) -> Result<u64, Errno> {
        self.system.check()?;
        Ok(self.system.node.disk().len_open(self.inode))
    }

    fn set_len(&self, len: u64) -> Result<(), Errno> {
        self.change(DiskChange::SetLen(len))
    }

    fn set_space_aside(&self, _offset: u64, _len: u64) -> Result<(), Errno> {
        self.system.check()
    }

    fn sync_data(&self) -> Result<(), Errno> {
        self.change(DiskChange::Sync)
    }

    fn sync_all(&self) -> Result<(), Errno> {
        self.change(DiskChange::Sync)
    }
}

/// The wal-index, as the daemon reaches it.
#[derive(Debug)]
pub(crate) struct SimIndex {
    system: SimSystem,
    shm: Rc<Shm>,
}

impl IndexBytes for SimIndex {
    fn blocks(&self) -> usize {
        self.shm.regions()
    }

    fn grow(&mut self, blocks: usize) -> Result<bool, Errno> {
        self.system.check()?;
        Ok(self.shm.grow(blocks))
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Errno> {
        self.system.check()?;
        self.shm.read(offset, bytes);
        Ok(())
    }

    fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), Errno> {
        self.system.check()?;
        self.shm.write(offset, bytes);
        Ok(())
    }
}

fn kind_of(kind: LockKind) -> Kind {
    match kind {
        LockKind::Read => Kind::Read,
        LockKind::Write => Kind::Write,
    }
}
