use std::collections::{BTreeMap, BTreeSet};

/// An open database file, as the holder of locks. Each stands for a process of its own.
pub(crate) type Holder = u64;

/// A lock on the database file, as SQLite names them (Locking in SQLite version 3, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Nothing.
    Unlocked,
    /// May read.
    Shared,
    /// Will write.
    Reserved,
    /// Waits for readers to leave; new ones are kept out.
    Pending,
    /// May write.
    Exclusive,
}

/// Slots for locks in the wal-index.
const SLOTS: usize = 8;

/// The locks of one database: the part of the kernel that both protocols rest on.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    levels: BTreeMap<Holder, Level>,
    shared: [BTreeSet<Holder>; SLOTS],
    exclusive: [Option<Holder>; SLOTS],
}

impl Locks {
    /// The level that `holder` has.
    pub(crate) fn level(&self, holder: Holder) -> Level {
        self.levels.get(&holder).copied().unwrap_or(Level::Unlocked)
    }

    /// Whether anybody will write or does.
    pub(crate) fn is_reserved(&self) -> bool {
        self.levels.values().any(|level| *level >= Level::Reserved)
    }

    /// Raises the level of `holder`. A refusal to be exclusive leaves a writer pending.
    ///
    /// It leaves a reader what it was, other than under Unix: with `locking_mode = EXCLUSIVE`, SQLite does not give up the
    /// pending lock when a hot journal cannot be rolled back because of other readers. At its next try it takes that lock
    /// for one of a living writer, leaves the journal alone, and writes over what was to be rolled back.
    pub(crate) fn raise(&mut self, holder: Holder, wanted: Level) -> bool {
        let current = self.level(holder);
        if wanted <= current {
            return true;
        }
        let highest = self.others(holder).max().unwrap_or(Level::Unlocked);
        let granted = match wanted {
            Level::Unlocked => true,
            Level::Shared => highest < Level::Pending,
            Level::Reserved => highest < Level::Reserved,
            Level::Pending | Level::Exclusive => {
                if highest >= Level::Reserved {
                    return false;
                }
                if current >= Level::Reserved {
                    self.levels.insert(holder, Level::Pending);
                }
                highest == Level::Unlocked
            }
        };
        if granted {
            self.levels.insert(holder, wanted);
        }
        granted
    }

    /// Lowers the level of `holder`.
    pub(crate) fn lower(&mut self, holder: Holder, wanted: Level) {
        if wanted == Level::Unlocked {
            self.levels.remove(&holder);
        } else if self.level(holder) > wanted {
            self.levels.insert(holder, wanted);
        }
    }

    /// Takes shared locks on slots of the wal-index, all or none.
    pub(crate) fn share_slots(&mut self, holder: Holder, slots: std::ops::Range<usize>) -> bool {
        let free = slots.clone().all(|slot| self.exclusive[slot].is_none_or(|other| other == holder));
        if free {
            for slot in slots {
                self.exclusive[slot] = None;
                self.shared[slot].insert(holder);
            }
        }
        free
    }

    /// Takes exclusive locks on slots of the wal-index, all or none.
    pub(crate) fn take_slots(&mut self, holder: Holder, slots: std::ops::Range<usize>) -> bool {
        let free = slots.clone().all(|slot| {
            self.exclusive[slot].is_none_or(|other| other == holder)
                && self.shared[slot].iter().all(|other| *other == holder)
        });
        if free {
            for slot in slots {
                self.shared[slot].remove(&holder);
                self.exclusive[slot] = Some(holder);
            }
        }
        free
    }

    /// Gives up locks on slots of the wal-index.
    pub(crate) fn free_slots(&mut self, holder: Holder, slots: std::ops::Range<usize>) {
        for slot in slots {
            self.shared[slot].remove(&holder);
            self.exclusive[slot].take_if(|other| *other == holder);
        }
    }

    /// What the kernel does when a process ends.
    pub(crate) fn release_all(&mut self, holder: Holder) {
        self.levels.remove(&holder);
        self.free_slots(holder, 0..SLOTS);
    }

    fn others(&self, holder: Holder) -> impl Iterator<Item = Level> {
        self.levels.iter().filter(move |(other, _)| **other != holder).map(|(_, level)| *level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_writer_keeps_new_readers_out_and_waits_for_old_ones() {
        let mut locks = Locks::default();
        assert!(locks.raise(1, Level::Shared) && locks.raise(2, Level::Shared));
        assert!(locks.raise(1, Level::Reserved));
        assert!(!locks.raise(2, Level::Reserved));
        assert!(!locks.raise(1, Level::Exclusive));
        assert_eq!(locks.level(1), Level::Pending);
        assert!(!locks.raise(3, Level::Shared));
        locks.lower(2, Level::Unlocked);
        assert!(locks.raise(1, Level::Exclusive));
        locks.lower(1, Level::Shared);
        assert!(locks.raise(3, Level::Shared));
        assert!(!locks.is_reserved());
    }

    #[test]
    fn slots_are_taken_all_or_none_and_freed_at_the_end_of_a_process() {
        let mut locks = Locks::default();
        assert!(locks.share_slots(1, 4..5));
        assert!(!locks.take_slots(2, 3..6));
        assert!(locks.take_slots(3, 3..4));
        assert!(!locks.share_slots(2, 3..4));
        locks.release_all(1);
        locks.release_all(3);
        assert!(locks.take_slots(2, 3..6));
    }
}
