use std::collections::{BTreeMap, BTreeSet};

use litefs_core::Position;

use super::{Head, Link, Outcome};

/// What programs wrote and what they were told of it.
///
/// Every transaction of a program replaces a number in the database by one made from it and from the transaction. Whoever
/// reads that number knows therefore the whole history of what was read: the transactions are a tree.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By database and number.
    links: BTreeMap<(&'static str, i64), Link>,
    /// Removals of a database, by where they lead. A database that is empty does not say which one that was.
    drops: BTreeMap<(&'static str, Position), i64>,
    /// What else a removal came after: two of them that lead to the same position are the same to everybody.
    joined: BTreeMap<(&'static str, i64), Vec<i64>>,
    /// Databases that are being written without a journal, by how many programs.
    exposed: BTreeMap<&'static str, u64>,
    /// Databases whose writer ended or failed without a journal.
    damaged: BTreeSet<&'static str>,
    tried: u64,
    acknowledged: u64,
}

impl Ledger {
    /// A program is about to commit what follows `parent` in time and builds on the content of `base`. Returns what the
    /// database then holds.
    pub(crate) fn begin(
        &mut self,
        database: &'static str,
        parent: i64,
        base: Head,
        machine: u8,
        epoch: usize,
    ) -> Head {
        let head = Head { depth: base.depth + 1, number: self.next_number(parent) };
        self.insert(database, head, parent, base.number, machine, epoch);
        head
    }

    /// A program is about to remove a database, which leads to `position`. Returns the number of that.
    pub(crate) fn begin_drop(
        &mut self,
        database: &'static str,
        parent: i64,
        position: Position,
        machine: u8,
        epoch: usize,
    ) -> i64 {
        if let Some(number) = self.drops.get(&(database, position)) {
            self.joined.entry((database, *number)).or_default().push(parent);
            return *number;
        }
        let number = self.next_number(parent);
        self.insert(database, Head { depth: 0, number }, parent, 0, machine, epoch);
        self.drops.insert((database, position), number);
        number
    }

    fn next_number(&mut self, parent: i64) -> i64 {
        self.tried += 1;
        mix(parent as u64, self.tried) as i64
    }

    fn insert(
        &mut self,
        database: &'static str,
        head: Head,
        parent: i64,
        base: i64,
        machine: u8,
        epoch: usize,
    ) {
        let (order, depth) = (self.order(database, parent) + 1, head.depth);
        let link = Link { parent, base, order, depth, machine, epoch, outcome: Outcome::Unknown };
        self.links.insert((database, head.number), link);
    }

    /// A program was told what became of its transaction.
    pub(crate) fn end(&mut self, database: &'static str, number: i64, outcome: Outcome) {
        self.acknowledged += u64::from(matches!(outcome, Outcome::Committed | Outcome::Durable));
        if self.joined.contains_key(&(database, number)) && outcome == Outcome::Void {
            // That one program failed does not mean that another did.
            return;
        }
        let Some(link) = self.links.get_mut(&(database, number)) else { return };
        if link.outcome == Outcome::Unknown {
            link.outcome = outcome;
        }
        if link.depth == 0 && link.outcome == Outcome::Void {
            self.drops.retain(|(name, _), drop| (*name, *drop) != (database, number));
        }
    }

    /// The removal that leads to a position.
    pub(crate) fn drop_at(&self, database: &'static str, position: Position) -> Option<i64> {
        self.drops.get(&(database, position)).copied()
    }

    /// The transactions after which a database may hold this.
    pub(crate) fn states(&self, database: &'static str, found: Head) -> Vec<i64> {
        if found != Head::default() {
            return vec![found.number];
        }
        let drops =
            self.drops.range((database, Position::ZERO)..).take_while(|((name, _), _)| *name == database);
        let happened = |number: &i64| self.outcome(database, *number) != Some(Outcome::Void);
        [0].into_iter().chain(drops.map(|(_, number)| *number).filter(happened)).collect()
    }

    /// How many transactions led to this one in time, it included.
    pub(crate) fn order(&self, database: &'static str, number: i64) -> u64 {
        self.links.get(&(database, number)).map_or(0, |link| link.order)
    }

    fn outcome(&self, database: &'static str, number: i64) -> Option<Outcome> {
        self.links.get(&(database, number)).map(|link| link.outcome)
    }

    /// Whether a database may hold this.
    pub(crate) fn check(&self, database: &'static str, found: Head) -> Result<(), String> {
        if found == Head::default() {
            return Ok(());
        }
        let Some(link) = self.links.get(&(database, found.number)) else {
            return Err(format!("{found:?} was never written"));
        };
        if link.depth != found.depth {
            return Err(format!("{found:?} is there after {} transactions", link.depth));
        }
        // All before it were read by the program that wrote it, and checked then.
        if link.outcome == Outcome::Void {
            return Err(format!("{found:?} is there though its transaction failed"));
        }
        Ok(())
    }

    /// Whether these, the latest first, are what leads to `found`, as far as they go.
    pub(crate) fn check_path(
        &self,
        database: &'static str,
        found: Head,
        entries: &[Head],
    ) -> Result<(), String> {
        let mut expected = found;
        for entry in entries {
            if *entry != expected {
                return Err(format!("the list that ends in {found:?} has {entry:?} and not {expected:?}"));
            }
            let base = self.links.get(&(database, entry.number)).map_or(0, |link| link.base);
            let depth = self.links.get(&(database, base)).map_or(0, |link| link.depth);
            // What was built after a removal begins anew.
            expected = if depth == 0 { Head::default() } else { Head { depth, number: base } };
        }
        Ok(())
    }

    /// Whether `later` is `earlier` or comes after it in time.
    pub(crate) fn follows(&self, database: &'static str, earlier: i64, later: i64) -> bool {
        let order = self.order(database, earlier);
        let mut number = later;
        while self.order(database, number) > order {
            let joined = self.joined.get(&(database, number));
            if joined.is_some_and(|others| others.iter().any(|other| self.follows(database, earlier, *other)))
            {
                return true;
            }
            number = self.links.get(&(database, number)).map_or(0, |link| link.parent);
        }
        number == earlier
    }

    /// Transactions whose programs were told that they are committed and that do not lead to `last`.
    pub(crate) fn lost(&self, database: &'static str, last: i64) -> Vec<Link> {
        let mut kept = BTreeSet::new();
        let mut open = vec![last];
        while let Some(number) = open.pop() {
            if let Some(link) = self.links.get(&(database, number)).filter(|_| kept.insert(number)) {
                open.push(link.parent);
                open.extend(self.joined.get(&(database, number)).into_iter().flatten());
            }
        }
        let told = |link: &Link| matches!(link.outcome, Outcome::Committed | Outcome::Durable);
        self.links
            .iter()
            .filter(|((name, number), link)| *name == database && told(link) && !kept.contains(number))
            .map(|(_, link)| *link)
            .collect()
    }

    /// A program begins to write a database without a journal: if it does not end that well, nobody knows what is there.
    pub(crate) fn expose(&mut self, database: &'static str) {
        *self.exposed.entry(database).or_default() += 1;
    }

    /// A program has ended what it wrote without a journal.
    pub(crate) fn cover(&mut self, database: &'static str, well: bool) {
        if let Some(count) = self.exposed.get_mut(database) {
            *count -= 1;
        }
        if !well {
            self.damaged.insert(database);
        }
    }

    /// Whether a database must be whole and hold what programs wrote.
    pub(crate) fn is_whole(&self, database: &str) -> bool {
        !self.damaged.contains(database) && self.exposed.get(database).is_none_or(|count| *count == 0)
    }

    /// Whether all databases must be whole.
    pub(crate) fn are_all_whole(&self) -> bool {
        self.damaged.is_empty() && self.exposed.values().all(|count| *count == 0)
    }

    /// The number of transactions whose programs were told that they are committed.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The number of transactions that programs tried.
    pub(crate) fn tried(&self) -> u64 {
        self.tried
    }
}

fn mix(one: u64, other: u64) -> u64 {
    let product =
        u128::from(one ^ 0x9e37_79b9_7f4a_7c15) * u128::from(other.wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1);
    // Never 0, which stands for no transaction.
    ((product as u64) ^ ((product >> 64) as u64)) | 1
}

#[cfg(test)]
mod tests {
    use litefs_core::{Checksum, Txid};

    use super::*;

    const DATABASE: &str = "a.db";

    #[test]
    fn list_is_the_path_of_contents_and_order_that_of_time() {
        let mut ledger = Ledger::default();
        let first = ledger.begin(DATABASE, 0, Head::default(), 1, 1);
        let second = ledger.begin(DATABASE, first.number, first, 1, 1);
        let restored = ledger.begin(DATABASE, second.number, first, 1, 1);
        assert_eq!(restored.depth, 2);
        assert!(ledger.follows(DATABASE, second.number, restored.number));
        assert!(!ledger.follows(DATABASE, restored.number, second.number));
        assert_eq!(ledger.check_path(DATABASE, restored, &[restored, first]), Ok(()));
        assert!(ledger.check_path(DATABASE, restored, &[restored, second]).is_err());
    }

    #[test]
    fn removals_that_lead_to_the_same_position_come_after_both_histories() {
        let mut ledger = Ledger::default();
        let first = ledger.begin(DATABASE, 0, Head::default(), 1, 1);
        let one = ledger.begin(DATABASE, first.number, first, 1, 1);
        let other = ledger.begin(DATABASE, first.number, first, 2, 2);
        ledger.end(DATABASE, one.number, Outcome::Durable);
        let position = Position { txid: Txid::new(3), checksum: Checksum::EMPTY };
        let drop = ledger.begin_drop(DATABASE, one.number, position, 1, 1);
        assert_eq!(ledger.lost(DATABASE, other.number).len(), 1);
        assert_eq!(ledger.begin_drop(DATABASE, other.number, position, 2, 2), drop);
        let anew = ledger.begin(DATABASE, drop, Head::default(), 2, 2);
        assert_eq!(anew.depth, 1);
        assert!(ledger.follows(DATABASE, one.number, anew.number));
        assert!(ledger.follows(DATABASE, other.number, anew.number));
        assert!(ledger.lost(DATABASE, anew.number).is_empty());
        assert_eq!(ledger.states(DATABASE, Head::default()), [0, drop]);
    }
}
