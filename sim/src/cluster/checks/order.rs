use std::collections::BTreeMap;

use super::{Head, Ledger};

/// The order that programs on one machine see: whatever begins after something has ended sees what that saw or wrote, as
/// if all transactions ran one after the other.
///
/// Only a snapshot that takes the place of transactions the primary does not have may take something back, and a loss of
/// power what was not durable.
#[derive(Debug, Default)]
pub(crate) struct Order {
    places: BTreeMap<(u8, &'static str), Place>,
}

/// A database of a machine.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// How often its history was replaced.
    replaced: u64,
    /// A snapshot is taking the place of what it has.
    replacing: bool,
    /// The latest transaction that anybody saw who is done.
    last: i64,
    /// The latest that survives a loss of power.
    durable: i64,
}

/// What a program may rely on that begins now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began {
    replaced: u64,
    replacing: bool,
    last: i64,
}

/// What a program may conclude from what it found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It follows what was seen before.
    InOrder,
    /// The history was replaced meanwhile.
    Replaced,
    /// What was seen before is gone.
    OutOfOrder(String),
}

impl Order {
    /// A program is about to look at a database.
    pub(crate) fn begin(&self, machine: u8, database: &'static str) -> Began {
        let place = self.places.get(&(machine, database)).copied().unwrap_or_default();
        Began { replaced: place.replaced, replacing: place.replacing, last: place.last }
    }

    /// What a program found that had begun before, as it was.
    pub(crate) fn saw(
        &mut self,
        ledger: &Ledger,
        machine: u8,
        database: &'static str,
        began: Began,
        found: Head,
    ) -> Seen {
        let place = self.places.entry((machine, database)).or_default();
        let states = ledger.states(database, found);
        let follows = |earlier: i64| {
            // Of several that it may be, the earliest says the least.
            let later = states.iter().copied().filter(|state| ledger.follows(database, earlier, *state));
            later.min_by_key(|state| ledger.order(database, *state))
        };
        if follows(began.last).is_none() {
            return if began.replacing || place.replacing || place.replaced != began.replaced {
                Seen::Replaced
            } else {
                let last = began.last;
                // One is told once.
                (place.last, place.durable) = (follows(0).unwrap_or_default(), 0);
                Seen::OutOfOrder(format!("{found:?} does not follow {last:x}, which was seen before"))
            };
        }
        if place.replaced == began.replaced
            && !place.replacing
            && let Some(state) = follows(place.last)
        {
            place.last = state;
        }
        Seen::InOrder
    }

    /// A program was told that its transaction is committed.
    pub(crate) fn acknowledged(
        &mut self,
        ledger: &Ledger,
        machine: u8,
        database: &'static str,
        began: Began,
        number: i64,
        durable: bool,
    ) {
        let place = self.places.entry((machine, database)).or_default();
        if place.replaced != began.replaced || place.replacing {
            return;
        }
        if ledger.follows(database, place.last, number) {
            place.last = number;
        }
        if durable && ledger.follows(database, place.durable, number) {
            place.durable = number;
        }
    }

    /// A snapshot begins to take the place of what a machine has.
    pub(crate) fn replacing(&mut self, machine: u8, database: &str) {
        for place in self.of(machine, database) {
            place.replacing = true;
        }
    }

    /// A snapshot has taken the place of what a machine had, or the machine was started again and has either.
    pub(crate) fn settled(&mut self, machine: u8, database: &str) {
        for place in self.of(machine, database).filter(|place| place.replacing) {
            *place = Place { replaced: place.replaced + 1, ..Place::default() };
        }
    }

    /// A machine has lost what was not durable, or everything.
    pub(crate) fn forgot(&mut self, machine: u8, everything: bool) {
        let of_machine = self.places.iter_mut().filter(|((number, _), _)| *number == machine);
        for (_, place) in of_machine {
            if everything {
                place.durable = 0;
            }
            place.last = place.durable;
        }
    }

    fn of(&mut self, machine: u8, database: &str) -> impl Iterator<Item = &mut Place> {
        let places = self.places.iter_mut();
        places
            .filter(move |((number, name), _)| (*number, *name) == (machine, database))
            .map(|(_, place)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: &str = "a.db";

    fn two() -> (Ledger, Head, Head) {
        let mut ledger = Ledger::default();
        let first = ledger.begin(DATABASE, 0, Head::default(), 1, 1);
        let second = ledger.begin(DATABASE, first.number, first, 1, 1);
        (ledger, first, second)
    }

    #[test]
    fn what_one_program_saw_the_next_one_sees() {
        let (ledger, first, second) = two();
        let mut order = Order::default();
        let before = order.begin(1, DATABASE);
        assert_eq!(order.saw(&ledger, 1, DATABASE, before, second), Seen::InOrder);
        // One that had begun before may have seen less, and does not take anything back.
        assert_eq!(order.saw(&ledger, 1, DATABASE, before, first), Seen::InOrder);
        let after = order.begin(1, DATABASE);
        assert!(matches!(order.saw(&ledger, 1, DATABASE, after, first), Seen::OutOfOrder(_)));
        assert_eq!(order.saw(&ledger, 2, DATABASE, order.begin(2, DATABASE), first), Seen::InOrder);
    }

    #[test]
    fn power_takes_what_is_not_durable_and_a_snapshot_what_it_replaces() {
        let (ledger, first, second) = two();
        let mut order = Order::default();
        let began = order.begin(1, DATABASE);
        order.acknowledged(&ledger, 1, DATABASE, began, first.number, true);
        order.acknowledged(&ledger, 1, DATABASE, began, second.number, false);
        order.forgot(1, false);
        assert_eq!(order.saw(&ledger, 1, DATABASE, order.begin(1, DATABASE), first), Seen::InOrder);
        let began = order.begin(1, DATABASE);
        assert!(matches!(order.saw(&ledger, 1, DATABASE, began, Head::default()), Seen::OutOfOrder(_)));
        order.replacing(1, DATABASE);
        assert_eq!(order.saw(&ledger, 1, DATABASE, began, Head::default()), Seen::Replaced);
        order.settled(1, DATABASE);
        assert_eq!(order.saw(&ledger, 1, DATABASE, began, Head::default()), Seen::Replaced);
        let began = order.begin(1, DATABASE);
        assert_eq!(order.saw(&ledger, 1, DATABASE, began, Head::default()), Seen::InOrder);
    }
}
