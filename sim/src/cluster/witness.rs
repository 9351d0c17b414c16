use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use litefs_core::node::{Refusal, Replaces, Role};
use litefs_core::{DatabaseName, Position};

use super::checks::{Ledger, Order};
use super::lease_service::LeaseService;
use crate::node::{Node, Observer};
use crate::record::Record;
use crate::topic::{At, Standing, Topic};

/// Who sees everything that happens in the cluster, and knows what must not.
#[derive(Debug)]
pub(crate) struct Witness {
    record: Record,
    lease: Rc<LeaseService>,
    /// Every transaction that was ever committed, by database: where it leads, and what it is.
    committed: RefCell<BTreeMap<String, BTreeMap<Position, Committed>>>,
    /// Where each database of each machine is.
    at: RefCell<BTreeMap<(u8, String), Position>>,
    /// How often the role of the primary was taken, and by whom the last time.
    epochs: RefCell<Vec<u8>>,
    /// Who holds the lease while an operation is being decided.
    holder: Cell<Option<u8>>,
    /// What programs were told.
    pub(crate) ledger: RefCell<Ledger>,
    /// What programs saw.
    pub(crate) order: RefCell<Order>,
}

/// A transaction of a primary.
#[derive(Clone, Copy, Debug)]
struct Committed {
    /// What it builds on.
    parent: Position,
    /// The number of the tenure, from 1.
    epoch: usize,
}

impl Witness {
    pub(crate) fn new(record: Record, lease: Rc<LeaseService>) -> Rc<Self> {
        Rc::new(Self {
            record,
            lease,
            committed: RefCell::default(),
            at: RefCell::default(),
            epochs: RefCell::default(),
            holder: Cell::default(),
            ledger: RefCell::default(),
            order: RefCell::default(),
        })
    }

    /// Which tenure of a primary this is, from 1; 0 before the first.
    pub(crate) fn epoch(&self) -> usize {
        self.epochs.borrow().len()
    }

    /// The machine that was primary in a tenure.
    pub(crate) fn primary_of(&self, epoch: usize) -> Option<u8> {
        self.epochs.borrow().get(epoch.checked_sub(1)?).copied()
    }

    /// A machine has taken a role.
    pub(crate) fn role_taken(&self, node: &Node, role: &Role) {
        let standing = match role {
            Role::Searching => Standing::Searching,
            Role::Primary => Standing::Primary,
            Role::Replica(_) => Standing::Replica,
        };
        let record = &node.record;
        match role {
            Role::Primary => {
                self.epochs.borrow_mut().push(record.machine());
                self.record.probe("primary");
                record.event_of(Topic::Role(standing), format_args!("is primary, tenure {}", self.epoch()));
            }
            Role::Replica(primary) => {
                record.event_of(Topic::Role(standing), format_args!("is replica of {}", primary.hostname));
            }
            Role::Searching => record.event_of(Topic::Role(standing), format_args!("looks for a primary")),
        }
    }

    /// A database of a machine is open, after its recovery, with these transactions in its log.
    ///
    /// The last ones may be those that it was about to commit when it ended, of which nobody was told.
    pub(crate) fn opened(&self, machine: u8, database: &str, position: Position, log: &[Position]) {
        let mut committed = self.committed.borrow_mut();
        let known = committed.entry(database.to_owned()).or_default();
        for (before, after) in log.iter().zip(log.iter().skip(1)) {
            let epoch = known.get(before).map(|before| before.epoch);
            if let Some(epoch) = epoch.filter(|_| !known.contains_key(after)) {
                known.insert(*after, Committed { parent: *before, epoch });
                self.record.probe("transaction that nobody was told of");
            }
        }
        drop(committed);
        let record = self.record.of_machine(machine);
        record.event_of(Topic::Open(at(database, position)), format_args!("{database} opens at {position}"));
        self.expect_known(machine, database, position);
        self.at.borrow_mut().insert((machine, database.to_owned()), position);
        self.order.borrow_mut().settled(machine, database);
    }

    /// The removal since which a database is empty that is at this position; 0 if it always was.
    pub(crate) fn empty_since(&self, database: &'static str, position: Position) -> i64 {
        let (committed, ledger) = (self.committed.borrow(), self.ledger.borrow());
        let mut at = position;
        loop {
            if let Some(number) = ledger.drop_at(database, at) {
                return number;
            }
            match committed.get(database).and_then(|known| known.get(&at)) {
                Some(transaction) => at = transaction.parent,
                None => return 0,
            }
        }
    }

    /// Whether a database that is at `later` has everything that one at `earlier` had.
    fn follows(&self, database: &str, earlier: Position, later: Position) -> bool {
        let committed = self.committed.borrow();
        let mut at = later;
        while at.txid > earlier.txid {
            match committed.get(database).and_then(|known| known.get(&at)) {
                Some(transaction) => at = transaction.parent,
                None => return false,
            }
        }
        at == earlier
    }

    /// A received transaction was applied, or was not.
    pub(crate) fn applied(
        &self,
        node: &Node,
        database: &DatabaseName,
        replaces: Option<Replaces>,
        outcome: Result<Position, Refusal>,
    ) {
        let Ok(position) = outcome else { return };
        let machine = node.record.machine();
        self.order.borrow_mut().settled(machine, database.as_str());
        self.record.probe("transaction applied");
        let what = if replaces.is_some() { "has the snapshot of" } else { "applies" };
        node.record.event_of(
            Topic::Apply(at(database.as_str(), position)),
            format_args!("{database} {what} {position}"),
        );
        self.expect_known(machine, database.as_str(), position);
        let key = (machine, database.as_str().to_owned());
        let before = self.at.borrow_mut().insert(key, position);
        let Some(before) = before.filter(|before| replaces.is_none() && *before != Position::ZERO) else {
            return;
        };
        let parent = self.parent(database.as_str(), position);
        if position != before && parent != Some(before) {
            node.record.violation(format!(
                "{database} goes from {before} to {position}, which builds on {parent:?}"
            ));
        }
    }

    /// What a transaction builds on.
    fn parent(&self, database: &str, position: Position) -> Option<Position> {
        self.committed.borrow().get(database)?.get(&position).map(|committed| committed.parent)
    }

    /// A position that no primary ever had is an invention.
    fn expect_known(&self, machine: u8, database: &str, position: Position) {
        let committed = self.committed.borrow();
        let known = position == Position::ZERO
            || committed.get(database).is_some_and(|known| known.contains_key(&position));
        if !known {
            self.record
                .of_machine(machine)
                .violation(format!("{database} is at {position}, which nobody committed"));
        }
    }
}

impl Observer for Witness {
    fn begins(&self, _machine: u8, _database: &str) {
        self.holder.set(self.lease.holder().map(|holding| holding.machine));
    }

    fn replaces(&self, machine: u8, database: &str, local: Position, next: Position) {
        if !self.follows(database, local, next) {
            self.record.probe("history replaced");
            self.order.borrow_mut().replacing(machine, database);
        }
    }

    fn forgot(&self, machine: u8, everything: bool) {
        self.order.borrow_mut().forgot(machine, everything);
    }

    fn committed(&self, machine: u8, database: &str, before: Position, after: Position) {
        let record = self.record.of_machine(machine);
        record.event_of(Topic::Commit(at(database, after)), format_args!("{database} commits {after}"));
        record.probe("transaction committed");
        if self.holder.get() != Some(machine) {
            record.violation(format!(
                "{database} commits {after} while {:?} holds the lease",
                self.holder.get()
            ));
        }
        if after.txid != before.txid.next() {
            record.violation(format!("{database} goes from {before} to {after} in one transaction"));
        }
        let epoch = self.epoch();
        let mut committed = self.committed.borrow_mut();
        let known = committed.entry(database.to_owned()).or_default();
        let same = known
            .range(Position { txid: after.txid, checksum: litefs_core::Checksum::ZERO }..)
            .take_while(|(position, _)| position.txid == after.txid)
            .any(|(position, other)| *position != after && other.epoch == epoch);
        if same {
            record.violation(format!("{database} has two transactions {} in tenure {epoch}", after.txid));
        }
        if before != Position::ZERO && !known.contains_key(&before) {
            record.violation(format!("{database} builds {after} on {before}, which nobody committed"));
        }
        known.insert(after, Committed { parent: before, epoch });
        drop(committed);
        self.at.borrow_mut().insert((machine, database.to_owned()), after);
    }
}

fn at(database: &str, position: Position) -> At {
    At { database: database.to_owned(), txid: position.txid.get() }
}
