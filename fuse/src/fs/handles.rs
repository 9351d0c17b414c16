use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use litefs_core::Errno;

use super::inode::Inode;

/// What a program has open.
#[derive(Debug)]
pub(crate) enum Handle {
    /// A file with content on a disk.
    File(Arc<Inode>),
    /// A file made up by the daemon. What a program reads was true when it opened the file.
    Virtual(Vec<u8>),
    /// A directory, with the entries it had when it was last read from the start.
    Directory(Arc<Inode>, Mutex<Vec<Entry>>),
}

/// One name in a directory.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The name.
    pub(crate) name: OsString,
    /// What `readdir` says it is.
    pub(crate) kind: fuser::FileType,
}

/// Every open handle, by the number the kernel was told.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    next: AtomicU64,
    open: RwLock<BTreeMap<u64, Arc<Handle>>>,
}

impl Handles {
    pub(crate) fn add(&self, handle: Handle) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::new(handle));
        number
    }

    pub(crate) fn get(&self, number: u64) -> Result<Arc<Handle>, Errno> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(&number).cloned().ok_or(Errno::EBADF)
    }

    pub(crate) fn remove(&self, number: u64) -> Option<Arc<Handle>> {
        self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&number)
    }
}
