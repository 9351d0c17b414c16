use alloc::rc::Rc;
use core::ops::Range;

use super::memory::Content;
use crate::Errno;
use crate::apply::{FileLocks, LockKind, LockRange};

/// A lock that somebody holds.
#[derive(Clone, Debug)]
pub(super) struct HeldRange {
    holder: u64,
    range: Range<u64>,
    kind: LockKind,
}

/// An open file, as the holder of locks.
#[derive(Debug)]
pub(in crate::apply) struct MemoryLocks {
    pub(super) content: Rc<Content>,
    pub(super) holder: u64,
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
