//! Which way a transaction takes, and what is left of the locks.

use alloc::string::ToString;
use core::time::Duration;

use super::*;
use crate::apply::{Applier, ApplyError, Change, Lock};
use crate::database::{Applied, JournalMode};
use crate::sqlite::lock::{CHECKPOINT_BYTE, PENDING_BYTE, READ_BYTES, WRITE_BYTE};
use crate::sqlite::wal_index::{self, BLOCK_BYTES, Header};

const PATIENCE: Duration = Duration::from_secs(5);
/// All that SQLite locks in the database file.
const ALL: LockRange = LockRange::new(PENDING_BYTE, SHARED_FIRST + SHARED_LEN - PENDING_BYTE);

fn apply(applier: &mut Applier<Memory>, byte: u8, wait: Duration) -> Result<Applied, ApplyError> {
    let pages = pages(byte);
    let change = Change {
        page_size: PageSize::MIN,
        commit: 2,
        pages: &mut pages.iter(),
        journal_mode: JournalMode::Wal,
        snapshot: false,
    };
    applier.apply(change, wait)
}

/// The last frame that readers are shown.
fn shown(memory: &Memory) -> u32 {
    let index = memory.bytes(File::Shm);
    assert_eq!(index[..wal_index::HEADER_LEN], index[wal_index::HEADER_LEN..2 * wal_index::HEADER_LEN]);
    index.first_chunk().and_then(Header::decode).map_or(0, |header| header.max_frame)
}

#[test]
fn database_that_nobody_has_open_is_written_and_left_without_locks() {
    let memory = Memory::default();
    let mut applier = Applier::new(memory.clone());
    assert_eq!(apply(&mut applier, 1, PATIENCE).unwrap(), Applied::Direct);
    assert_eq!(memory.bytes(File::Database), image(1));
    assert!(!memory.open(File::Database).is_locked_by_others(ALL).unwrap());
}

#[test]
fn transaction_goes_to_the_wal_beside_a_reader_and_is_copied_once_nobody_reads() {
    let memory = Memory::default();
    let mut applier = Applier::new(memory.clone());
    apply(&mut applier, 1, PATIENCE).unwrap();
    let (database, index) = connect(&memory);
    assert!(matches!(apply(&mut applier, 2, PATIENCE).unwrap(), Applied::Wal { .. }));
    assert_eq!((shown(&memory), memory.bytes(File::Database)), (2, image(1)));
    for byte in [WRITE_BYTE, CHECKPOINT_BYTE] {
        assert!(index.is_locked_by_others(LockRange::new(byte, 1)).unwrap(), "lock {byte} is free");
    }

    // A reader of the database file alone.
    assert!(index.try_lock(LockRange::new(READ_BYTES, 1), LockKind::Read).unwrap());
    assert!(!applier.checkpoint().unwrap().is_complete());
    assert_eq!(memory.bytes(File::Database), image(1));
    index.unlock(LockRange::new(READ_BYTES, 1)).unwrap();
    assert!(applier.checkpoint().unwrap().is_complete());
    assert_eq!(memory.bytes(File::Database), image(2));

    drop((database, index));
    assert_eq!(apply(&mut applier, 3, PATIENCE).unwrap(), Applied::Direct);
    assert_eq!((memory.bytes(File::Database), memory.bytes(File::Wal)), (image(3), Vec::new()));
}

#[test]
fn wal_is_left_to_programs_when_the_applier_goes() {
    let memory = Memory::default();
    let mut applier = Applier::new(memory.clone());
    apply(&mut applier, 1, PATIENCE).unwrap();
    let (_database, index) = connect(&memory);
    apply(&mut applier, 2, PATIENCE).unwrap();
    drop(applier);
    assert_eq!(shown(&memory), 2);
    assert!(!index.is_locked_by_others(LockRange::new(WRITE_BYTE, DMS_BYTE + 1 - WRITE_BYTE)).unwrap());
    assert!(memory.troubles().is_empty());
}

#[test]
fn database_that_took_the_name_of_a_deleted_one_is_left_alone() {
    let memory = Memory::default();
    let mut applier = Applier::new(memory.clone());
    apply(&mut applier, 1, PATIENCE).unwrap();
    memory.put(File::Wal, b"");
    memory.put(File::Shm, &[7; BLOCK_BYTES]);
    let (_database, index) = connect(&memory);
    let writer = memory.open(File::Shm);
    assert!(writer.try_lock(LockRange::new(WRITE_BYTE, 1), LockKind::Write).unwrap());
    let inside = memory.clone();
    memory.while_waiting(move || {
        inside.put(File::Database, &image(9));
        drop(writer);
    });

    let error = apply(&mut applier, 2, PATIENCE).unwrap_err();
    assert!(matches!(error, ApplyError::Busy(Lock::Replaced)), "{error}");
    assert_eq!(memory.bytes(File::Database), image(9));
    assert_eq!(memory.bytes(File::Shm), [7; BLOCK_BYTES], "the wal-index was touched");
    assert!(memory.bytes(File::Wal).is_empty());
    let locks = LockRange::new(WRITE_BYTE, DMS_BYTE - WRITE_BYTE);
    assert!(!index.is_locked_by_others(locks).unwrap(), "a lock was kept");
}

#[test]
fn lock_that_is_not_to_be_had_is_named() {
    let memory = Memory::default();
    let mut applier = Applier::new(memory.clone());
    apply(&mut applier, 1, PATIENCE).unwrap();
    let (_database, index) = connect(&memory);
    assert!(index.try_lock(LockRange::new(WRITE_BYTE, 1), LockKind::Write).unwrap());
    let error = apply(&mut applier, 2, PATIENCE).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the database is busy: a process is writing to the WAL or checkpointing it"
    );
    index.unlock(LockRange::new(WRITE_BYTE, 1)).unwrap();
    assert!(matches!(apply(&mut applier, 2, PATIENCE).unwrap(), Applied::Wal { .. }));
}

#[test]
fn database_file_is_not_touched_before_the_log_is_durable() {
    let memory = Memory::default();
    let mut applier = Applier::new(memory.clone());
    apply(&mut applier, 1, PATIENCE).unwrap();
    memory.set_log_fails(true);
    assert!(matches!(apply(&mut applier, 2, PATIENCE), Err(ApplyError::Io { .. })));
    let delete = Change {
        page_size: PageSize::MIN,
        commit: 0,
        pages: &mut [].iter(),
        journal_mode: JournalMode::Wal,
        snapshot: false,
    };
    assert!(matches!(applier.apply(delete, PATIENCE), Err(ApplyError::Io { .. })));
    assert_eq!(memory.bytes(File::Database), image(1));

    let reader = connect(&memory);
    assert!(
        matches!(apply(&mut applier, 3, PATIENCE).unwrap(), Applied::Wal { .. }),
        "the WAL can be undone"
    );
    assert!(matches!(applier.checkpoint(), Err(ApplyError::Io { .. })));
    assert_eq!(memory.bytes(File::Database), image(1));
    memory.set_log_fails(false);
    assert!(applier.checkpoint().unwrap().is_complete());
    assert_eq!(memory.bytes(File::Database), image(3));
    drop(reader);
}

/// As a transaction of a connection that has locked the database for itself, or uses a WAL that is still there.
#[test]
fn transaction_that_leaves_the_change_counter_is_shown_by_the_wal() {
    let rollback = |counter: u8| {
        let mut pages = pages(counter);
        pages[0].1[18..20].copy_from_slice(&[1, 1]);
        pages
    };
    let apply = |applier: &mut Applier<Memory>, pages: &[(PageNumber, Vec<u8>)]| {
        let change = Change {
            page_size: PageSize::MIN,
            commit: 2,
            pages: &mut pages.iter(),
            journal_mode: JournalMode::Rollback,
            snapshot: false,
        };
        applier.apply(change, PATIENCE).unwrap()
    };
    let mut applier = Applier::new(Memory::default());
    assert_eq!(apply(&mut applier, &rollback(1)), Applied::Direct);
    assert_eq!(apply(&mut applier, &rollback(2)), Applied::Direct, "connections see another counter");
    assert!(matches!(apply(&mut applier, &rollback(3)[1..]), Applied::Wal { .. }));
    assert!(applier.checkpoint().unwrap().is_complete());
    assert!(matches!(apply(&mut applier, &rollback(4)[1..]), Applied::Wal { .. }));
    assert!(applier.checkpoint().unwrap().is_complete());
    assert!(
        matches!(apply(&mut applier, &rollback(5)), Applied::Wal { .. }),
        "there may be readers of the WAL"
    );
    assert!(applier.checkpoint().unwrap().is_complete());
    assert_eq!(apply(&mut applier, &rollback(6)), Applied::Direct);
}
