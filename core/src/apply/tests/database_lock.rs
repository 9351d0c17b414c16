use alloc::rc::Rc;
use core::cell::RefCell;
use core::time::Duration;

use super::Memory;
use super::memory_locks::MemoryLocks;
use crate::File;
use crate::apply::database_lock::DatabaseLock;
use crate::apply::deadline::Deadline;
use crate::apply::{FileLocks, LockKind, LockRange};
use crate::sqlite::lock::{RESERVED_BYTE, SHARED_FIRST, SHARED_LEN};

const PATIENCE: Duration = Duration::from_secs(10);

fn memory() -> Memory {
    let memory = Memory::default();
    memory.put(File::Database, b"");
    memory
}

fn lock(memory: &Memory) -> DatabaseLock<MemoryLocks> {
    DatabaseLock::new(memory.open(File::Database))
}

/// Takes SHARED if that can be had at once.
fn share(memory: &Memory, lock: &mut DatabaseLock<MemoryLocks>) -> bool {
    lock.shared(memory, Deadline::after(memory, Duration::ZERO)).unwrap()
}

fn exclude(memory: &Memory, lock: &mut DatabaseLock<MemoryLocks>, wait: Duration) -> bool {
    lock.exclusive(memory, Deadline::after(memory, wait)).unwrap()
}

#[test]
fn exclusive_needs_every_reader_to_be_gone_and_leaves_no_trace_when_it_fails() {
    let memory = memory();
    let (mut one, mut two) = (lock(&memory), lock(&memory));
    assert!(share(&memory, &mut one));
    assert!(share(&memory, &mut two));
    assert!(!one.try_exclusive().unwrap());
    assert!(!exclude(&memory, &mut one, Duration::ZERO));
    two.unlock().unwrap();
    assert!(share(&memory, &mut two), "a failed attempt kept PENDING");
    two.unlock().unwrap();
    assert!(exclude(&memory, &mut one, Duration::ZERO));
    assert!(!share(&memory, &mut two));
    one.downgrade().unwrap();
    assert!(share(&memory, &mut two));
}

#[test]
fn waiting_for_a_writer_does_not_keep_it_from_committing() {
    let memory = memory();
    let (program, mut one) = (memory.open(File::Database), lock(&memory));
    let shared = LockRange::new(SHARED_FIRST, SHARED_LEN);
    assert!(program.try_lock(shared, LockKind::Read).unwrap());
    assert!(program.try_lock(LockRange::new(RESERVED_BYTE, 1), LockKind::Write).unwrap());
    assert!(share(&memory, &mut one));
    memory.while_waiting(move || {
        assert!(program.try_lock(shared, LockKind::Write).unwrap(), "SHARED was kept");
        drop(program);
    });
    assert!(exclude(&memory, &mut one, PATIENCE));
}

#[test]
fn waiting_writer_keeps_new_readers_out_until_the_old_ones_finish() {
    let memory = memory();
    let (mut writer, mut old) = (lock(&memory), lock(&memory));
    assert!(share(&memory, &mut old));
    let new = Rc::new(RefCell::new(lock(&memory)));
    let (inside, reader) = (memory.clone(), Rc::clone(&new));
    memory.while_waiting(move || {
        assert!(!share(&inside, &mut reader.borrow_mut()));
        drop(old);
    });
    assert!(exclude(&memory, &mut writer, PATIENCE));
    assert!(!share(&memory, &mut new.borrow_mut()));
    writer.unlock().unwrap();
    assert!(share(&memory, &mut new.borrow_mut()));
}
