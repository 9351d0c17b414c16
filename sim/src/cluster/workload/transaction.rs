use litefs_core::Position;
use rusqlite::{Connection, Error};

use super::super::checks::{Head, Outcome, Seen};
use super::content;
use super::program::{Program, is_busy};
use super::session::{Found, Open, Session};
use crate::plan::Synchronous;
use crate::topic::{Answer, Topic};

impl Program {
    /// One transaction over one or more databases that moves amounts between accounts, changes items and counts itself.
    pub(super) fn write(&mut self, session: &Session, large: bool) -> Result<(), Error> {
        let all = session.open.len() > 1 && self.rng.percent(40);
        let over = if all { session.open.clone() } else { vec![self.rng.pick(&session.open)] };
        if session.unjournaled && !self.is_primary() {
            // What is refused at the first write cannot be told from what fails at a later one.
            return Ok(());
        }
        if session.unjournaled {
            self.expose(&over);
        }
        let result = self.write_over(session, &over, large && self.features().large);
        if session.unjournaled {
            // Whoever was refused before anything was written has left nothing behind.
            let well = self.is_alive() && (result.is_ok() || is_busy(&result));
            self.cover(&over, well);
        }
        result
    }

    /// Notes that these may be anything if the program does not end what it does now.
    pub(super) fn expose(&self, over: &[Open]) {
        self.node.record.probe("transaction without a journal");
        for open in over {
            self.witness.ledger.borrow_mut().expose(open.database);
        }
    }

    /// Notes the end of what [`Self::expose`] announced.
    pub(super) fn cover(&self, over: &[Open], well: bool) {
        for open in over {
            self.witness.ledger.borrow_mut().cover(open.database, well);
        }
    }

    fn write_over(&mut self, session: &Session, over: &[Open], large: bool) -> Result<(), Error> {
        let connection = &session.connection;
        let begin = self.rng.pick(&["BEGIN", "BEGIN IMMEDIATE", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"]);
        let found = self.begin(connection, over, begin)?;
        for Found { open, head, .. } in &found {
            if *head == Head::default() {
                content::create(connection, open.schema)?;
            }
            for _ in 0..self.rng.between(1, if large { 30 } else { 4 }) {
                self.change(connection, open.schema, large, 0)?;
            }
            if large {
                self.grow_and_give_up(connection, open.schema)?;
            }
        }
        let mut next = Vec::new();
        let mut counted = Ok(());
        for found in &found {
            let head = self.next_head(found);
            next.push((*found, head));
            counted = counted.and_then(|()| content::count(connection, found.open.schema, head));
        }
        // Without a journal, what was written cannot be taken back.
        if counted.is_err() || (!session.unjournaled && self.rng.percent(10)) {
            let result = connection.execute_batch("ROLLBACK");
            self.end(&next, Outcome::Void);
            return counted.and(result);
        }
        let result = connection.execute_batch("COMMIT");
        let mut outcome = self.outcome(&result);
        if outcome == Outcome::Void && (over.len() > 1 || session.unjournaled) {
            // Where it fails after it has reached the first of them, the other says so by its own rules.
            outcome = Outcome::Unknown;
        }
        self.end(&next, outcome);
        if over.len() > 1 && result.is_ok() {
            self.node.record.probe("transaction over two databases");
        }
        result
    }

    /// Begins a transaction and sees what there is.
    pub(super) fn begin(
        &self,
        connection: &Connection,
        over: &[Open],
        begin: &str,
    ) -> Result<Vec<Found>, Error> {
        let machine = self.machine();
        let order = |open: &Open| self.witness.order.borrow().begin(machine, open.database);
        let began: Vec<_> = over.iter().map(order).collect();
        connection.execute_batch(begin)?;
        let mut found = Vec::new();
        for (open, began) in over.iter().zip(began) {
            let seen = Found { open: *open, began, head: content::head(connection, open.schema)? };
            self.check(&seen);
            found.push(seen);
        }
        Ok(found)
    }

    /// What was found must be something that was written, and nothing seen before on the machine may be missing.
    fn check(&self, found: &Found) {
        let Found { open: Open { database, .. }, began, head } = *found;
        let ledger = self.witness.ledger.borrow();
        if !self.is_alive() || !ledger.is_whole(database) {
            return;
        }
        if let Err(wrong) = ledger.check(database, head) {
            self.violation(&format!("{database}: {wrong}"));
        }
        match self.witness.order.borrow_mut().saw(&ledger, self.machine(), database, began, head) {
            Seen::InOrder => {}
            Seen::Replaced => self.node.record.probe("history replaced under a program"),
            Seen::OutOfOrder(wrong) => self.violation(&format!("{database}: {wrong}")),
        }
    }

    /// What the database will hold after a transaction that found this and holds the lock of writers.
    fn next_head(&self, found: &Found) -> Head {
        let Found { open: Open { database, .. }, head, .. } = *found;
        let parent = self.parent_of(found);
        let (machine, epoch) = (self.machine(), self.witness.epoch());
        self.witness.ledger.borrow_mut().begin(database, parent, head, machine, epoch)
    }

    /// The transaction after which a database holds this, which cannot change now.
    pub(super) fn parent_of(&self, found: &Found) -> i64 {
        if found.head != Head::default() {
            return found.head.number;
        }
        let database = self.node.database(found.open.database);
        let position = database.and_then(|database| database.position(&self.node)).unwrap_or(Position::ZERO);
        self.witness.empty_since(found.open.database, position)
    }

    /// What a program knows about its transaction after `COMMIT`. A daemon that gives up in the middle of it says as little
    /// as one that dies.
    fn outcome(&self, result: &Result<(), Error>) -> Outcome {
        match result {
            _ if !self.is_alive() => Outcome::Unknown,
            Ok(()) if self.plan.machine.synchronous == Synchronous::Full => Outcome::Durable,
            Ok(()) => Outcome::Committed,
            Err(_) if self.node.databases().iter().any(|database| database.is_stopped()) => Outcome::Unknown,
            // SQLite itself commits and says that it did not.
            Err(_) if self.node.take_commit_seems_failed() => Outcome::Unknown,
            // Without powersafe overwrite SQLite pads a commit in the WAL with copies of its last frame. When the disk
            // refuses those, the commit itself is on it already.
            Err(_) if !self.plan.machine.powersafe_overwrite => Outcome::Unknown,
            Err(_) => Outcome::Void,
        }
    }

    /// Notes what became of a transaction that found the one and wrote the other.
    pub(super) fn end(&self, next: &[(Found, Head)], outcome: Outcome) {
        let (machine, mut order) = (self.machine(), self.witness.order.borrow_mut());
        for (Found { open: Open { database, .. }, began, .. }, head) in next {
            let topic = Topic::Statement(Answer::Ok);
            let number = self.number;
            self.node
                .record
                .event_of(topic, format_args!("program {number} {database} {head:?} {outcome:?}"));
            let mut ledger = self.witness.ledger.borrow_mut();
            ledger.end(database, head.number, outcome);
            if matches!(outcome, Outcome::Committed | Outcome::Durable) && ledger.is_whole(database) {
                let durable = outcome == Outcome::Durable;
                order.acknowledged(&ledger, machine, database, *began, head.number, durable);
            }
        }
    }
}
