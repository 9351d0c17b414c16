use alloc::collections::BTreeSet;
use core::ops::Bound;

use crate::DatabaseName;

/// Databases that wait for their turn. Turns go round by name, so none waits for more than one turn of each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Rotation {
    waiting: BTreeSet<DatabaseName>,
    /// Whose turn was last.
    last: Option<DatabaseName>,
}

impl Rotation {
    pub(super) fn insert(&mut self, database: DatabaseName) {
        self.waiting.insert(database);
    }

    pub(super) fn remove(&mut self, database: &DatabaseName) {
        self.waiting.remove(database);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whose turn it is. Asking does not end the turn, [`Rotation::end_turn`] does.
    pub(super) fn peek(&self) -> Option<&DatabaseName> {
        let after = match &self.last {
            Some(last) => self.waiting.range((Bound::Excluded(last), Bound::Unbounded)).next(),
            None => None,
        };
        after.or_else(|| self.waiting.first())
    }

    /// The turn of this database is over; it stays in the round.
    pub(super) fn end_turn(&mut self, database: &DatabaseName) {
        self.last = Some(database.clone());
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn name(text: &str) -> DatabaseName {
        DatabaseName::new(text).unwrap()
    }

    #[test]
    fn turns_go_round_by_name_and_a_newcomer_gets_its_turn_in_the_same_round() {
        let mut rotation = Rotation::default();
        rotation.insert(name("c"));
        rotation.insert(name("a"));
        let mut turns = Vec::new();
        for turn in 0..5 {
            let next = rotation.peek().unwrap().clone();
            rotation.end_turn(&next);
            turns.push(next);
            if turn == 0 {
                rotation.insert(name("b"));
            }
        }
        assert_eq!(turns, ["a", "b", "c", "a", "b"].map(name));
    }

    #[test]
    fn database_that_left_has_no_turn() {
        let mut rotation = Rotation::default();
        rotation.insert(name("a"));
        rotation.end_turn(&name("a"));
        rotation.remove(&name("a"));
        assert!(rotation.is_empty());
        assert_eq!(rotation.peek(), None);
    }
}
