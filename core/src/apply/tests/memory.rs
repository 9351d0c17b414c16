use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::ops::Range;
use core::time::Duration;

use crate::apply::{
    BackingFile, Clock, FileIdentity, FileLocks, IndexBytes, LockKind, LockRange, System, Trouble,
};
use crate::sqlite::wal_index::BLOCK_BYTES;
use crate::{Errno, File, ReadAt};

/// The files of one database in memory. Copies are the same files.
#[derive(Clone, Default)]
pub(in crate::apply) struct Memory(Rc<Shared>);

#[derive(Default)]
struct Shared {
    files: RefCell<BTreeMap<File, Rc<Content>>>,
    next_number: Cell<u64>,
    elapsed: Cell<Duration>,
    while_waiting: RefCell<Option<Box<dyn FnOnce()>>>,
    troubles: RefCell<Vec<String>>,
}

/// A file, whatever its name is.
#[derive(Debug, Default)]
struct Content {
    number: u64,
    bytes: RefCell<Vec<u8>>,
    locks: RefCell<Vec<HeldRange>>,
}

#[derive(Clone, Debug)]
struct HeldRange {
    holder: u64,
    range: Range<u64>,
    kind: LockKind,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} files)", self.0.files.borrow().len())
    }
}

impl Memory {
    /// Has this done once, when somebody waits next.
    pub(in crate::apply) fn while_waiting(&self, script: impl FnOnce() + 'static) {
        *self.0.while_waiting.borrow_mut() = Some(Box::new(script));
    }

    /// Puts a new file in the place of the one that has the name.
    pub(in crate::apply) fn put(&self, file: File, bytes: &[u8]) {
        let content = Content { number: self.number(), bytes: bytes.to_vec().into(), ..Content::default() };
        self.0.files.borrow_mut().insert(file, Rc::new(content));
    }

    /// What is in the file; nothing if it is missing.
    pub(in crate::apply) fn bytes(&self, file: File) -> Vec<u8> {
        self.find(file).map(|content| content.bytes.borrow().clone()).unwrap_or_default()
    }

    /// Opens the file for its locks, as a program does.
    pub(in crate::apply) fn open(&self, file: File) -> MemoryLocks {
        MemoryLocks { content: self.find(file).unwrap(), holder: self.number() }
    }

    /// What the operator was told.
    pub(in crate::apply) fn troubles(&self) -> Vec<String> {
        self.0.troubles.borrow().clone()
    }

    fn number(&self) -> u64 {
        self.0.next_number.set(self.0.next_number.get() + 1);
        self.0.next_number.get()
    }

    fn find(&self, file: File) -> Result<Rc<Content>, Errno> {
        self.0.files.borrow().get(&file).cloned().ok_or(Errno::ENOENT)
    }
}

impl Clock for Memory {
    fn elapsed(&self) -> Duration {
        self.0.elapsed.get()
    }

    fn sleep(&self, duration: Duration) {
        self.0.elapsed.set(self.0.elapsed.get() + duration);
        let script = self.0.while_waiting.take();
        if let Some(script) = script {
            script();
        }
    }
}

impl System for Memory {
    type Locks = MemoryLocks;
    type File = MemoryFile;
    type Index = MemoryIndex;

    fn open_in_mount(&self, file: File) -> Result<MemoryLocks, Errno> {
        Ok(MemoryLocks { content: self.find(file)?, holder: self.number() })
    }

    fn create_in_mount(&self, file: File) -> Result<MemoryLocks, Errno> {
        self.put(file, b"");
        self.open_in_mount(file)
    }

    fn open_backing(&self, file: File) -> Result<MemoryFile, Errno> {
        self.find(file).map(MemoryFile)
    }

    fn backing_len(&self, file: File) -> Result<Option<u64>, Errno> {
        Ok(self.find(file).ok().map(|content| content.bytes.borrow().len() as u64))
    }

    fn create_database(&self) -> Result<(), Errno> {
        self.put(File::Database, b"");
        Ok(())
    }

    fn remove_backing(&self, file: File) -> Result<bool, Errno> {
        Ok(self.0.files.borrow_mut().remove(&file).is_some())
    }

    fn database_identity(&self) -> Result<Option<FileIdentity>, Errno> {
        let found = self.find(File::Database).ok();
        Ok(found.map(|content| FileIdentity { device: 0, inode: content.number }))
    }

    fn open_index(&self) -> Result<MemoryIndex, Errno> {
        let mut index = MemoryIndex(self.find(File::Shm)?);
        index.grow(1)?;
        Ok(index)
    }

    fn set_index_len(&self, len: u64) -> Result<(), Errno> {
        self.open_backing(File::Shm)?.set_len(len)
    }

    fn store(&self, _file: File, _offset: u64, _bytes: &[u8]) -> Result<(), Errno> {
        Ok(())
    }

    fn invalidate(&self, _file: File, _range: Range<u64>) -> Result<(), Errno> {
        Ok(())
    }

    fn resized(&self, _file: File) -> Result<(), Errno> {
        Ok(())
    }

    fn created(&self, _file: File) -> Result<(), Errno> {
        Ok(())
    }

    fn removed(&self, _file: File) -> Result<(), Errno> {
        Ok(())
    }

    fn random(&self) -> Result<u32, Errno> {
        Ok(self.number() as u32)
    }

    fn report(&self, trouble: Trouble<'_>) {
        self.0.troubles.borrow_mut().push(trouble.to_string());
    }
}

/// An open file, as the holder of locks.
#[derive(Debug)]
pub(in crate::apply) struct MemoryLocks {
    content: Rc<Content>,
    holder: u64,
}

impl MemoryLocks {
    fn conflicts(&self, range: &Range<u64>, kind: LockKind) -> bool {
        self.content.locks.borrow().iter().any(|held| {
            held.holder != self.holder
                && held.range.start < range.end
                && range.start < held.range.end
                && (kind == LockKind::Write || held.kind == LockKind::Write)
        })
    }
}

impl FileLocks for MemoryLocks {
    fn try_lock(&self, range: LockRange, kind: LockKind) -> Result<bool, Errno> {
        let bytes = range.start..range.start + range.len;
        if self.conflicts(&bytes, kind) {
            return Ok(false);
        }
        self.unlock(range)?;
        self.content.locks.borrow_mut().push(HeldRange { holder: self.holder, range: bytes, kind });
        Ok(true)
    }

    fn unlock(&self, range: LockRange) -> Result<(), Errno> {
        let end = range.start + range.len;
        let mut locks = self.content.locks.borrow_mut();
        for held in core::mem::take(&mut *locks) {
            if held.holder != self.holder {
                locks.push(held);
                continue;
            }
            let before = held.range.start..held.range.end.min(range.start);
            let after = held.range.start.max(end)..held.range.end;
            for range in [before, after].into_iter().filter(|range| !range.is_empty()) {
                locks.push(HeldRange { range, ..held });
            }
        }
        Ok(())
    }

    fn release(&self, range: LockRange) {
        self.unlock(range).unwrap();
    }

    fn is_locked_by_others(&self, range: LockRange) -> Result<bool, Errno> {
        Ok(self.conflicts(&(range.start..range.start + range.len), LockKind::Write))
    }
}

impl Drop for MemoryLocks {
    fn drop(&mut self) {
        self.content.locks.borrow_mut().retain(|held| held.holder != self.holder);
    }
}

/// A backing file.
#[derive(Debug)]
pub(in crate::apply) struct MemoryFile(Rc<Content>);

impl ReadAt for MemoryFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        self.0.bytes.borrow().read_at(offset, buf)
    }
}

impl BackingFile for MemoryFile {
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let mut bytes = self.0.bytes.borrow_mut();
        let start = offset as usize;
        let len = bytes.len().max(start + data.len());
        bytes.resize(len, 0);
        bytes[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn len(&self) -> Result<u64, Errno> {
        Ok(self.0.bytes.borrow().len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<(), Errno> {
        self.0.bytes.borrow_mut().resize(len as usize, 0);
        Ok(())
    }

    fn set_space_aside(&self, _offset: u64, _len: u64) -> Result<(), Errno> {
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn sync_all(&self) -> Result<(), Errno> {
        Ok(())
    }
}

/// A wal-index.
#[derive(Debug, Default)]
pub(in crate::apply) struct MemoryIndex(Rc<Content>);

impl IndexBytes for MemoryIndex {
    fn blocks(&self) -> usize {
        self.0.bytes.borrow().len() / BLOCK_BYTES
    }

    fn grow(&mut self, blocks: usize) -> Result<bool, Errno> {
        let mut bytes = self.0.bytes.borrow_mut();
        let grown = bytes.len() < blocks * BLOCK_BYTES;
        if grown {
            bytes.resize(blocks * BLOCK_BYTES, 0);
        }
        Ok(grown)
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Errno> {
        bytes.copy_from_slice(&self.0.bytes.borrow()[offset..offset + bytes.len()]);
        Ok(())
    }

    fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), Errno> {
        self.0.bytes.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}
