//! An applier in memory, beside programs of which only the locks are there.

mod database_lock;
mod memory;
mod memory_locks;
mod receive;
mod routes;

pub(super) use memory::{Memory, MemoryIndex};

use alloc::vec;
use alloc::vec::Vec;

use crate::apply::{FileLocks, LockKind, LockRange};
use crate::sqlite::lock::{DMS_BYTE, SHARED_FIRST, SHARED_LEN};
use crate::{File, PageNumber, PageSize};
use memory_locks::MemoryLocks;

const SHARED: LockRange = LockRange::new(SHARED_FIRST, SHARED_LEN);

/// A database of two pages in WAL mode whose second page is full of `byte`.
fn pages(byte: u8) -> Vec<(PageNumber, Vec<u8>)> {
    let mut first = vec![0; PageSize::MIN.bytes()];
    first[..16].copy_from_slice(b"SQLite format 3\0");
    first[16..20].copy_from_slice(&[2, 0, 2, 2]);
    first[24..28].copy_from_slice(&u32::from(byte).to_be_bytes());
    let second = vec![byte; PageSize::MIN.bytes()];
    [first, second]
        .into_iter()
        .zip(1..)
        .map(|(content, page)| (PageNumber::new(page).unwrap(), content))
        .collect()
}

fn image(byte: u8) -> Vec<u8> {
    pages(byte).into_iter().flat_map(|(_, content)| content).collect()
}

/// The locks of a program that has read the database and is in no transaction.
fn connect(memory: &Memory) -> (MemoryLocks, MemoryLocks) {
    for file in [File::Wal, File::Shm] {
        if memory.bytes(file).is_empty() {
            memory.put(file, b"");
        }
    }
    let (database, index) = (memory.open(File::Database), memory.open(File::Shm));
    assert!(database.try_lock(SHARED, LockKind::Read).unwrap());
    assert!(index.try_lock(LockRange::new(DMS_BYTE, 1), LockKind::Read).unwrap());
    (database, index)
}
