use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::ops::Range;
use core::time::Duration;

use super::memory_locks::{HeldRange, MemoryLocks};
use crate::apply::{BackingFile, Clock, FileIdentity, IndexBytes, System, Trouble};
use crate::sqlite::wal_index::BLOCK_BYTES;
use crate::{Disk, Errno, File, ReadAt, View, WriteAt};

/// The files of one database in memory. Copies are the same files.
#[derive(Clone, Default)]
pub(in crate::apply) struct Memory(Rc<Shared>);

#[derive(Default)]
struct Shared {
    files: RefCell<BTreeMap<File, Rc<Content>>>,
    next_number: Cell<u64>,
    elapsed: Cell<Duration>,
    script: RefCell<Option<Script>>,
    troubles: RefCell<Vec<String>>,
    log_fails: Cell<bool>,
}

/// What happens while somebody waits, and when at the earliest.
type Script = (Duration, Box<dyn FnOnce()>);

/// A file, whatever its name is.
#[derive(Debug, Default)]
pub(super) struct Content {
    number: u64,
    bytes: RefCell<Vec<u8>>,
    pub(super) locks: RefCell<Vec<HeldRange>>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} files)", self.0.files.borrow().len())
    }
}

impl Memory {
    /// Has this done once, when somebody waits next.
    pub(in crate::apply) fn while_waiting(&self, script: impl FnOnce() + 'static) {
        self.while_waiting_at(Duration::ZERO, script);
    }

    /// As `while_waiting`, at the earliest when that much time has passed since the start.
    pub(in crate::apply) fn while_waiting_at(&self, elapsed: Duration, script: impl FnOnce() + 'static) {
        *self.0.script.borrow_mut() = Some((elapsed, Box::new(script)));
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

    /// Lets the log be synced, or not.
    pub(in crate::apply) fn set_log_fails(&self, fails: bool) {
        self.0.log_fails.set(fails);
    }

    /// What the operator was told.
    pub(in crate::apply) fn troubles(&self) -> Vec<String> {
        self.0.troubles.borrow().clone()
    }

    fn number(&self) -> u64 {
        self.0.next_number.set(self.0.next_number.get() + 1);
        self.0.next_number.get()
    }

    fn find_or_put(&self, file: File) -> MemoryFile {
        if self.find(file).is_err() {
            self.put(file, b"");
        }
        MemoryFile(self.find(file).unwrap())
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
        let due = self.0.script.borrow_mut().take_if(|(from, _)| *from <= self.elapsed());
        if let Some((_, script)) = due {
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

    fn sync_log(&self) -> Result<(), Errno> {
        if self.0.log_fails.get() { Err(Errno::EIO) } else { Ok(()) }
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

impl View for Memory {
    fn read_at(&self, file: File, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        self.bytes(file).read_at(offset, buf)
    }

    fn len(&self, file: File) -> Result<Option<u64>, Errno> {
        self.backing_len(file)
    }

    fn segments(&self) -> Result<Vec<u64>, Errno> {
        let number_of = |file: &File| if let File::Segment(number) = file { Some(*number) } else { None };
        Ok(self.0.files.borrow().keys().filter_map(number_of).collect())
    }
}

impl Disk for Memory {
    fn write_at(&self, file: File, offset: u64, data: &[u8]) -> Result<(), Errno> {
        self.find_or_put(file).write_at(offset, data)
    }

    fn set_len(&self, file: File, len: u64) -> Result<(), Errno> {
        self.find_or_put(file).set_len(len)
    }

    fn sync(&self, _file: File) -> Result<(), Errno> {
        Ok(())
    }

    fn remove(&self, file: File) -> Result<(), Errno> {
        self.remove_backing(file).map(drop)
    }

    fn rename(&self, from: File, to: File) -> Result<(), Errno> {
        let content = self.0.files.borrow_mut().remove(&from).ok_or(Errno::ENOENT)?;
        self.0.files.borrow_mut().insert(to, content);
        Ok(())
    }

    fn sync_directory(&self) -> Result<(), Errno> {
        Ok(())
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

impl WriteAt for MemoryFile {
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let mut bytes = self.0.bytes.borrow_mut();
        let start = offset as usize;
        let len = bytes.len().max(start + data.len());
        bytes.resize(len, 0);
        bytes[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

impl BackingFile for MemoryFile {
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
