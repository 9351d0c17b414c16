use std::collections::BTreeMap;

/// What programs wrote and what they were told of it.
///
/// Every transaction of a program replaces a number in the database by one made from it and from the transaction. Whoever
/// reads that number knows therefore the whole history of what was read.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By database and number.
    links: BTreeMap<(&'static str, i64), Link>,
    tried: u64,
    acknowledged: u64,
}

/// One transaction of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// The number that the transaction found.
    pub(crate) parent: i64,
    /// How many transactions there are up to this one.
    pub(crate) depth: i64,
    /// The machine of the program.
    pub(crate) machine: u8,
    /// Which tenure of a primary it was.
    pub(crate) epoch: usize,
    /// What its program was told.
    pub(crate) outcome: Outcome,
}

/// What became of a transaction, as its program was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The program was told nothing yet, or never.
    Unknown,
    /// Committed.
    Committed,
    /// Committed, and SQLite promised that a loss of power spares it.
    Durable,
    /// Not committed.
    Void,
}

impl Ledger {
    /// A program is about to commit. Returns the new number.
    pub(crate) fn begin(
        &mut self,
        database: &'static str,
        found: (i64, i64),
        machine: u8,
        epoch: usize,
    ) -> i64 {
        self.tried += 1;
        let (depth, parent) = found;
        let number = mix(parent as u64, self.tried) as i64;
        let link = Link { parent, depth: depth + 1, machine, epoch, outcome: Outcome::Unknown };
        self.links.insert((database, number), link);
        number
    }

    /// A program was told what became of its transaction.
    pub(crate) fn end(&mut self, database: &'static str, number: i64, outcome: Outcome) {
        self.acknowledged += u64::from(matches!(outcome, Outcome::Committed | Outcome::Durable));
        if let Some(link) = self.links.get_mut(&(database, number)) {
            link.outcome = outcome;
        }
    }

    /// Whether a database may hold this, as (depth, number).
    pub(crate) fn check(&self, database: &'static str, found: (i64, i64)) -> Result<(), String> {
        let (depth, number) = found;
        if number == 0 {
            return if depth == 0 { Ok(()) } else { Err(format!("{depth} transactions lead to nothing")) };
        }
        let Some(link) = self.links.get(&(database, number)) else {
            return Err(format!("number {number:x} was never written"));
        };
        if link.depth != depth {
            return Err(format!(
                "number {number:x} is there after {depth} transactions and not {}",
                link.depth
            ));
        }
        // All before it were read by the program that wrote it, and checked then.
        if link.outcome == Outcome::Void {
            return Err(format!("number {number:x} is there though its transaction failed"));
        }
        Ok(())
    }

    /// Whether `later` comes from `earlier`, both as (depth, number).
    pub(crate) fn follows(&self, database: &'static str, earlier: (i64, i64), later: (i64, i64)) -> bool {
        let (mut depth, mut number) = later;
        while depth > earlier.0 {
            let Some(link) = self.links.get(&(database, number)) else { return false };
            (depth, number) = (depth - 1, link.parent);
        }
        number == earlier.1
    }

    /// Transactions whose programs were told that they are committed and that are not among those up to `last`.
    pub(crate) fn lost(&self, database: &'static str, last: (i64, i64)) -> Vec<Link> {
        let mut kept = std::collections::BTreeSet::new();
        let mut number = last.1;
        while let Some(link) = self.links.get(&(database, number)) {
            kept.insert(number);
            number = link.parent;
        }
        let told = |link: &Link| matches!(link.outcome, Outcome::Committed | Outcome::Durable);
        self.links
            .iter()
            .filter(|((name, number), link)| *name == database && told(link) && !kept.contains(number))
            .map(|(_, link)| *link)
            .collect()
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
