use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use litefs_core::{Disk, Errno, File, View};

/// Bytes a file may have. It keeps the disk from being what runs out of memory.
const MAX_LEN: u64 = 1 << 20;

/// The files of one database in memory, on a disk that can lose what was not synced and refuse operations.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryDisk(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<File, Inode>,
    /// The files whose names are durable.
    durable: BTreeMap<File, Inode>,
    /// Changes that are still carried out before one is refused.
    refuse_after: Option<u32>,
}

type Inode = Rc<RefCell<Content>>;

#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
}

impl MemoryDisk {
    /// The content of a file.
    pub(crate) fn content(&self, file: File) -> Option<Vec<u8>> {
        self.0.borrow().files.get(&file).map(|inode| inode.borrow().now.clone())
    }

    /// Puts a file there, durably.
    pub(crate) fn put(&self, file: File, content: Vec<u8>) {
        let inode = Rc::new(RefCell::new(Content { durable: content.clone(), now: content }));
        let mut state = self.0.borrow_mut();
        state.files.insert(file, Rc::clone(&inode));
        state.durable.insert(file, inode);
    }

    /// All files and what is in them.
    pub(crate) fn files(&self) -> BTreeMap<File, Vec<u8>> {
        self.0.borrow().files.iter().map(|(file, inode)| (*file, inode.borrow().now.clone())).collect()
    }

    /// Carries out so many changes and refuses the one after them.
    pub(crate) fn refuse_after(&self, changes: u32) {
        self.0.borrow_mut().refuse_after = Some(changes);
    }

    /// Loses power: what was not synced is there or not, as `kept` says of a file. Without `names` so are the names.
    pub(crate) fn lose_power(&self, names: bool, kept: impl Fn(File) -> bool) {
        let mut state = self.0.borrow_mut();
        state.refuse_after = None;
        if !names {
            state.files = state.durable.clone();
        }
        let mut files = BTreeMap::new();
        for (file, inode) in &state.files {
            let content = inode.borrow();
            let survived = if kept(*file) { &content.now } else { &content.durable };
            let survived = Content { now: survived.clone(), durable: survived.clone() };
            files.insert(*file, Rc::new(RefCell::new(survived)));
        }
        state.durable = files.clone();
        state.files = files;
    }

    /// The process ends; the disk goes on.
    pub(crate) fn refuse_nothing(&self) {
        self.0.borrow_mut().refuse_after = None;
    }

    fn change(&self) -> Result<(), Errno> {
        let mut state = self.0.borrow_mut();
        match &mut state.refuse_after {
            Some(0) => {
                state.refuse_after = None;
                Err(Errno::EIO)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn create(&self, file: File) -> Inode {
        Rc::clone(self.0.borrow_mut().files.entry(file).or_default())
    }
}

impl View for MemoryDisk {
    fn read_at(&self, file: File, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let state = self.0.borrow();
        let Some(inode) = state.files.get(&file) else { return Ok(0) };
        let content = inode.borrow();
        let rest =
            usize::try_from(offset).ok().and_then(|start| content.now.get(start..)).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn len(&self, file: File) -> Result<Option<u64>, Errno> {
        Ok(self.0.borrow().files.get(&file).map(|inode| inode.borrow().now.len() as u64))
    }

    fn segments(&self) -> Result<Vec<u64>, Errno> {
        let number = |file: &File| if let File::Segment(number) = file { Some(*number) } else { None };
        Ok(self.0.borrow().files.keys().filter_map(number).collect())
    }
}

impl Disk for MemoryDisk {
    fn write_at(&self, file: File, offset: u64, data: &[u8]) -> Result<(), Errno> {
        self.change()?;
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= MAX_LEN).ok_or(Errno::EFBIG)?;
        let (start, end) = (offset as usize, end as usize);
        let inode = self.create(file);
        let content = &mut inode.borrow_mut().now;
        content.resize(content.len().max(end), 0);
        content[start..end].copy_from_slice(data);
        Ok(())
    }

    fn set_len(&self, file: File, len: u64) -> Result<(), Errno> {
        self.change()?;
        if len > MAX_LEN {
            return Err(Errno::EFBIG);
        }
        self.create(file).borrow_mut().now.resize(len as usize, 0);
        Ok(())
    }

    fn sync(&self, file: File) -> Result<(), Errno> {
        self.change()?;
        if let Some(inode) = self.0.borrow().files.get(&file) {
            let mut content = inode.borrow_mut();
            content.durable = content.now.clone();
        }
        Ok(())
    }

    fn remove(&self, file: File) -> Result<(), Errno> {
        self.change()?;
        self.0.borrow_mut().files.remove(&file);
        Ok(())
    }

    fn rename(&self, from: File, to: File) -> Result<(), Errno> {
        self.change()?;
        let mut state = self.0.borrow_mut();
        let inode = state.files.remove(&from).ok_or(Errno::ENOENT)?;
        state.files.insert(to, inode);
        Ok(())
    }

    fn sync_directory(&self) -> Result<(), Errno> {
        self.change()?;
        let mut state = self.0.borrow_mut();
        state.durable = state.files.clone();
        Ok(())
    }
}
