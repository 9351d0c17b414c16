use std::collections::BTreeMap;
use std::ops::Range;

/// An open file, as the holder of locks. Each stands for an open file of its own, whoever opened it.
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

/// Whether others may hold the same lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Others may read too.
    Read,
    /// Nobody else.
    Write,
}

/// A range of bytes that SQLite locks as a whole: of the database file PENDING, RESERVED and SHARED, of the wal-index
/// eight slots and the dead man's switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Unit(u8);

impl Unit {
    const PENDING: Self = Self(0);
    const RESERVED: Self = Self(1);
    const SHARED: Self = Self(2);
    /// Held by everybody who has the wal-index mapped.
    pub(crate) const SWITCH: Self = Self(11);

    /// Slots of the wal-index, from 0 to 7.
    pub(crate) fn slots(slots: Range<usize>) -> impl Iterator<Item = Self> + Clone {
        slots.filter_map(|slot| u8::try_from(slot + 3).ok()).map(Self)
    }

    /// The units that a range of bytes covers, of the database file (SQLite file format 1.2, `PENDING_BYTE`) or the
    /// wal-index (WAL-mode file format 2.3).
    pub(crate) fn of_bytes(start: u64, len: u64) -> Vec<Self> {
        let end = start + len;
        let covers = |first: u64, count: u64| start < first + count && first < end;
        let database = [
            (Self::PENDING, 1 << 30, 1),
            (Self::RESERVED, (1 << 30) + 1, 1),
            (Self::SHARED, (1 << 30) + 2, 510),
        ];
        let index = (0..9).map(|byte| (Self(3 + byte), 120 + u64::from(byte), 1));
        database
            .into_iter()
            .chain(index)
            .filter(|(_, first, count)| covers(*first, *count))
            .map(|(unit, ..)| unit)
            .collect()
    }
}

/// The locks of one database: the part of the kernel that both protocols rest on.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: BTreeMap<(Unit, Holder), Kind>,
}

impl Locks {
    /// Takes locks on all of these, or changes their kind; nothing has changed where it returns false.
    pub(crate) fn try_lock(
        &mut self,
        holder: Holder,
        units: impl IntoIterator<Item = Unit> + Clone,
        kind: Kind,
    ) -> bool {
        let free = units.clone().into_iter().all(|unit| self.is_free(holder, unit, kind));
        if free {
            self.held.extend(units.into_iter().map(|unit| ((unit, holder), kind)));
        }
        free
    }

    /// Whether [`Self::try_lock`] would succeed on this one.
    pub(crate) fn is_free(&self, holder: Holder, unit: Unit, kind: Kind) -> bool {
        let others = self.held.range((unit, Holder::MIN)..=(unit, Holder::MAX));
        others
            .filter(|((_, other), _)| *other != holder)
            .all(|(_, other)| kind == Kind::Read && *other == Kind::Read)
    }

    /// Gives up locks on these.
    pub(crate) fn unlock(&mut self, holder: Holder, units: impl IntoIterator<Item = Unit>) {
        for unit in units {
            self.held.remove(&(unit, holder));
        }
    }

    /// Whether anybody holds a lock on this.
    pub(crate) fn is_held(&self, unit: Unit) -> bool {
        self.held.range((unit, Holder::MIN)..=(unit, Holder::MAX)).next().is_some()
    }

    /// The level that `holder` has.
    pub(crate) fn level(&self, holder: Holder) -> Level {
        let has = |unit| self.held.get(&(unit, holder)).copied();
        if has(Unit::SHARED) == Some(Kind::Write) {
            Level::Exclusive
        } else if has(Unit::PENDING) == Some(Kind::Write) {
            Level::Pending
        } else if has(Unit::RESERVED) == Some(Kind::Write) {
            Level::Reserved
        } else if has(Unit::SHARED) == Some(Kind::Read) {
            Level::Shared
        } else {
            Level::Unlocked
        }
    }

    /// Whether anybody will write or does.
    pub(crate) fn is_reserved(&self) -> bool {
        self.held.iter().any(|((unit, _), kind)| *unit <= Unit::SHARED && *kind == Kind::Write)
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
        match wanted {
            Level::Unlocked => true,
            Level::Shared => {
                self.is_free(holder, Unit::PENDING, Kind::Read)
                    && self.try_lock(holder, [Unit::SHARED], Kind::Read)
            }
            Level::Reserved => {
                let pending = self.is_free(holder, Unit::PENDING, Kind::Read);
                pending && self.try_lock(holder, [Unit::RESERVED], Kind::Write)
            }
            Level::Pending | Level::Exclusive => {
                if !self.is_free(holder, Unit::RESERVED, Kind::Write)
                    || !self.is_free(holder, Unit::PENDING, Kind::Write)
                {
                    return false;
                }
                if current >= Level::Reserved {
                    self.try_lock(holder, [Unit::PENDING], Kind::Write);
                }
                self.try_lock(holder, [Unit::PENDING, Unit::RESERVED, Unit::SHARED], Kind::Write)
            }
        }
    }

    /// Lowers the level of `holder`.
    pub(crate) fn lower(&mut self, holder: Holder, wanted: Level) {
        if self.level(holder) <= wanted {
            return;
        }
        if wanted < Level::Pending {
            self.unlock(holder, [Unit::PENDING]);
        }
        if wanted < Level::Reserved {
            self.unlock(holder, [Unit::RESERVED]);
        }
        match wanted {
            Level::Unlocked => self.unlock(holder, [Unit::SHARED]),
            _ => drop(self.held.insert((Unit::SHARED, holder), Kind::Read)),
        }
    }

    /// What the kernel does when a file is closed.
    pub(crate) fn release_all(&mut self, holder: Holder) {
        self.held.retain(|(_, other), _| *other != holder);
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
        assert!(locks.try_lock(1, Unit::slots(4..5), Kind::Read));
        assert!(!locks.try_lock(2, Unit::slots(3..6), Kind::Write));
        assert!(locks.try_lock(3, Unit::slots(3..4), Kind::Write));
        assert!(!locks.try_lock(2, Unit::slots(3..4), Kind::Read));
        locks.release_all(1);
        locks.release_all(3);
        assert!(locks.try_lock(2, Unit::slots(3..6), Kind::Write));
    }

    #[test]
    fn bytes_are_the_units_that_sqlite_locks() {
        assert_eq!(Unit::of_bytes((1 << 30) + 2, 510), [Unit::SHARED]);
        assert_eq!(Unit::of_bytes(1 << 30, 2), [Unit::PENDING, Unit::RESERVED]);
        assert_eq!(Unit::of_bytes(123, 5), Unit::slots(3..8).collect::<Vec<_>>());
        assert_eq!(Unit::of_bytes(128, 1), [Unit::SWITCH]);
    }
}
