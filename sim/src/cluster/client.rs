use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode, OptionalExtension, params};

use super::ledger::Outcome;
use super::plan::Plan;
use super::witness::Witness;
use crate::coroutine;
use crate::node::{Node, Process};
use crate::plan::{JournalMode, Synchronous};
use crate::rng::Rng;
use crate::rt;
use crate::topic::{Answer, Topic};

/// The sum over all accounts. Every transaction only moves amounts between them.
const TOTAL: i64 = 800;

/// What a database begins with. The number of `head` stands for all transactions before.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS head(id INTEGER PRIMARY KEY, depth INTEGER NOT NULL, number INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS entry(depth INTEGER PRIMARY KEY, number INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
    INSERT OR IGNORE INTO account VALUES (1,100),(2,100),(3,100),(4,100),(5,100),(6,100),(7,100),(8,100);
    CREATE TABLE IF NOT EXISTS item(id INTEGER PRIMARY KEY, body BLOB NOT NULL);
    CREATE INDEX IF NOT EXISTS item_body ON item(substr(body, 1, 8));
";

/// A program on one machine with one connection, doing what its random numbers say: on any machine, whether primary or not.
#[derive(Debug)]
pub(crate) struct Client {
    number: u64,
    node: Rc<Node>,
    directory: String,
    plan: Rc<Plan>,
    witness: Rc<Witness>,
    rng: Rng,
    /// As what the current step runs.
    process: Option<Process>,
    connection: Option<Connection>,
    /// What it saw last of its database in this connection.
    seen: Option<(i64, i64)>,
}

const DATABASE: &str = "a.db";

/// What is added to the number of a program that is started again.
const NEXT_PROCESS: u64 = 100;

impl Client {
    pub(crate) fn new(
        number: u64,
        node: Rc<Node>,
        directory: String,
        plan: Rc<Plan>,
        witness: Rc<Witness>,
        rng: Rng,
    ) -> Self {
        Self { number, node, directory, plan, witness, rng, process: None, connection: None, seen: None }
    }

    /// Works until `over`, starting again whenever its machine does.
    pub(crate) async fn live(mut self, over: Rc<Cell<bool>>) {
        let mut restarts = 0;
        while !over.get() && !self.node.record.is_violated() {
            let number = self.number + restarts;
            let process = self.process.unwrap_or_else(|| self.node.process(number));
            if !self.node.is_alive(process) || self.node.databases().is_empty() {
                self = self.disconnect().await;
                // Numbers of programs that died alone are not used again.
                restarts += NEXT_PROCESS;
                rt::sleep(Duration::from_millis(20)).await;
                continue;
            }
            self.process = Some(process);
            self = coroutine::run(&Rc::clone(&self.node), process, move || {
                self.step();
                self
            })
            .await;
            let think = self.rng.between(1, 40);
            rt::sleep(Duration::from_millis(think)).await;
        }
        drop(self.disconnect().await);
    }

    /// Ends the connection: in order, or by force if its process is dead.
    async fn disconnect(mut self) -> Self {
        self.seen = None;
        let Some(process) = self.process.take() else { return self };
        coroutine::run(&Rc::clone(&self.node), process, move || {
            if let Some(connection) = self.connection.take() {
                let closed = connection.close().map_err(|(_, error)| error);
                self.note("disconnect", &closed);
            }
            self
        })
        .await
    }

    fn step(&mut self) {
        let Some(connection) = self.connection.take() else {
            match self.connect() {
                Ok(connection) => self.connection = Some(connection),
                Err(error) => self.note("connect", &Err(error)),
            }
            return;
        };
        let step = self.rng.below(100);
        let (name, result) = match step {
            0..45 => ("write", self.write(&connection, false)),
            45..49 => ("large write", self.write(&connection, true)),
            49..84 => ("read", self.read(&connection)),
            84..90 => ("checkpoint", self.checkpoint(&connection)),
            90..92 => ("vacuum", connection.execute_batch("VACUUM")),
            92..94 => ("incremental_vacuum", connection.execute_batch("PRAGMA incremental_vacuum(3)")),
            94..96 => ("journal_mode", self.change_journal_mode(&connection)),
            _ => {
                let closed = connection.close().map_err(|(_, error)| error);
                self.note("close", &closed);
                self.seen = None;
                return;
            }
        };
        self.note(name, &result);
        if !connection.is_autocommit() {
            let result = connection.execute_batch("ROLLBACK");
            self.note("rollback", &result);
        }
        // A program that meets an error it does not know starts afresh, sooner or later.
        if result.is_ok() || is_busy(&result) || self.rng.percent(50) {
            self.connection = Some(connection);
        } else {
            self.seen = None;
        }
    }

    fn connect(&mut self) -> Result<Connection, Error> {
        let plan = &self.plan.machine;
        let connection = Connection::open(format!("{}{DATABASE}", self.directory))?;
        if connection.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0))? == 0 {
            let sql =
                format!("PRAGMA page_size = {}; PRAGMA auto_vacuum = {}", plan.page_size, plan.auto_vacuum);
            connection.execute_batch(&sql)?;
        }
        connection.execute_batch(&format!(
            "PRAGMA busy_timeout = {}; PRAGMA temp_store = memory; \
             PRAGMA cache_size = {}; PRAGMA synchronous = {}; PRAGMA wal_autocheckpoint = {}",
            self.rng.pick(&[0, 5, 50]),
            plan.cache_pages,
            plan.synchronous.sql(),
            plan.auto_checkpoint
        ))?;
        Ok(connection)
    }

    /// One transaction that moves amounts between accounts, changes items and counts itself.
    fn write(&mut self, connection: &Connection, large: bool) -> Result<(), Error> {
        let begin = self.rng.pick(&["BEGIN", "BEGIN IMMEDIATE", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"]);
        connection.execute_batch(begin)?;
        let found = head(connection)?;
        self.check("write", found);
        if found.0 == 0 {
            connection.execute_batch(SCHEMA)?;
        }
        for _ in 0..self.rng.between(1, if large { 30 } else { 4 }) {
            self.change(connection, large)?;
        }
        let (machine, epoch) = (self.node.record.machine(), self.witness.epoch());
        let number = self.witness.ledger.borrow_mut().begin(DATABASE, found, machine, epoch);
        let counted = connection
            .execute("INSERT OR REPLACE INTO head VALUES (1, ?1, ?2)", params![found.0 + 1, number])
            .and_then(|_| {
                connection.execute("INSERT INTO entry VALUES (?1, ?2)", params![found.0 + 1, number])
            });
        if counted.is_err() || self.rng.percent(10) {
            let result = connection.execute_batch("ROLLBACK");
            self.end(number, Outcome::Void);
            return counted.map(drop).and(result);
        }
        let result = connection.execute_batch("COMMIT");
        let outcome = self.outcome(&result);
        self.end(number, outcome);
        if result.is_ok() {
            self.seen = Some((found.0 + 1, number));
        }
        result
    }

    /// One change inside a transaction.
    fn change(&mut self, connection: &Connection, large: bool) -> Result<(), Error> {
        let id = self.rng.below(60);
        match self.rng.below(10) {
            0..4 => {
                let pages = if large { 6 } else { 2 };
                let len = match self.rng.below(4) {
                    0 => self.rng.below(u64::from(self.plan.machine.page_size) * pages),
                    _ => self.rng.below(300),
                };
                let mut body = vec![0; usize::try_from(len).unwrap_or(0)];
                self.rng.fill(&mut body);
                connection.execute("INSERT OR REPLACE INTO item VALUES (?1, ?2)", params![id, body]).map(drop)
            }
            4..6 => connection.execute("DELETE FROM item WHERE id = ?1", [id]).map(drop),
            6 => connection.execute("DELETE FROM item WHERE id >= ?1", [id]).map(drop),
            7 => {
                connection.execute_batch("SAVEPOINT inner")?;
                self.change(connection, large)?;
                let undo = self.rng.percent(50);
                connection.execute_batch(if undo {
                    "ROLLBACK TO inner; RELEASE inner"
                } else {
                    "RELEASE inner"
                })
            }
            _ => {
                let amount = self.rng.below(20);
                for (sign, account) in [("-", self.rng.between(1, 8)), ("+", self.rng.between(1, 8))] {
                    let sql = format!("UPDATE account SET balance = balance {sign} ?1 WHERE id = ?2");
                    connection.execute(&sql, [amount, account])?;
                }
                Ok(())
            }
        }
    }

    /// Looks at the database in one transaction.
    fn read(&mut self, connection: &Connection) -> Result<(), Error> {
        connection.execute_batch("BEGIN")?;
        let found = head(connection)?;
        self.check("read", found);
        if self.rng.percent(30) {
            // A long reader: others go on meanwhile, and it must not notice.
            coroutine::pause(Duration::from_millis(self.rng.between(1, 30)));
        }
        let wrong = look(connection, found, self.rng.percent(8))?;
        if let Some(wrong) = wrong.filter(|_| self.is_alive()) {
            self.node.record.violation(format!("client {} read: {wrong}", self.number));
        }
        connection.execute_batch("COMMIT")
    }

    /// What a program has found must be something that was written, and never older than what it saw before.
    fn check(&mut self, what: &str, found: (i64, i64)) {
        if !self.is_alive() {
            return;
        }
        let ledger = self.witness.ledger.borrow();
        let number = self.number;
        if let Err(wrong) = ledger.check(DATABASE, found) {
            self.node.record.violation(format!("client {number} {what}: {wrong}"));
        }
        if let Some(seen) = self.seen
            && !ledger.follows(DATABASE, seen, found)
        {
            // A snapshot took the place of what only this machine had.
            self.node.record.event_of(
                Topic::Note,
                format_args!("client {number} {what}: {found:x?} does not follow {seen:x?}"),
            );
            self.node.record.probe("history replaced under a connection");
            if !self.node.record.saw("snapshot over other data") {
                self.node
                    .record
                    .violation(format!("client {number} {what}: {found:?} does not follow {seen:?}"));
            }
        }
        drop(ledger);
        self.seen = Some(found);
    }

    fn checkpoint(&mut self, connection: &Connection) -> Result<(), Error> {
        let kind = self.rng.pick(&["PASSIVE", "FULL", "RESTART", "TRUNCATE"]);
        connection.query_row(&format!("PRAGMA wal_checkpoint({kind})"), [], |_| Ok(()))
    }

    fn change_journal_mode(&mut self, connection: &Connection) -> Result<(), Error> {
        let plan = &self.plan.machine;
        let mode =
            if plan.switch_journal_mode { self.rng.pick(&JournalMode::ALL) } else { plan.journal_mode };
        let sql = format!("PRAGMA journal_mode = {}", mode.sql());
        connection.query_row(&sql, [], |row| row.get::<_, String>(0)).map(drop)
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

    fn is_alive(&self) -> bool {
        self.process.is_some_and(|process| self.node.is_alive(process))
    }

    fn end(&self, number: i64, outcome: Outcome) {
        let topic = Topic::Statement(Answer::Ok);
        self.node
            .record
            .event_of(topic, format_args!("client {} transaction {number:x} {outcome:?}", self.number));
        self.witness.ledger.borrow_mut().end(DATABASE, number, outcome);
    }

    /// Records what a step came to. That the database is damaged is never an answer.
    fn note(&self, step: &str, result: &Result<(), Error>) {
        let text = match result {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        let topic = Topic::Statement(Answer::of(result));
        self.node.record.event_of(topic, format_args!("client {} {step}: {text}", self.number));
        self.node.record.probe(match result {
            Ok(()) => "statement ok",
            Err(_) if is_busy(result) => "statement busy",
            Err(_) => "statement failed",
        });
        let damage = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
        if self.is_alive()
            && let Err(error) = result
            && error.sqlite_error_code().is_some_and(|code| damage.contains(&code))
        {
            self.node.record.violation(format!("client {} {step}: {text}", self.number));
        }
    }
}

/// The depth and the number that stand for all transactions of the database.
pub(crate) fn head(connection: &Connection) -> Result<(i64, i64), Error> {
    let exists = "SELECT 1 FROM sqlite_schema WHERE name = 'head'";
    if connection.query_row(exists, [], |_| Ok(())).optional()?.is_none() {
        return Ok((0, 0));
    }
    let sql = "SELECT depth, number FROM head";
    let head = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(head.unwrap_or_default())
}

/// What is wrong in a database whose head was found to be this, in the same transaction.
pub(crate) fn look(
    connection: &Connection,
    found: (i64, i64),
    thorough: bool,
) -> Result<Option<String>, Error> {
    if head(connection)? != found {
        return Ok(Some("the database changed within a transaction".to_owned()));
    }
    if found.0 > 0 {
        let sql = "SELECT (SELECT sum(balance) FROM account), (SELECT count(*) FROM entry), \
                   (SELECT number FROM entry ORDER BY depth DESC LIMIT 1)";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let (sum, entries, last): (i64, i64, i64) = connection.query_row(sql, [], row)?;
        if (sum, entries, last) != (TOTAL, found.0, found.1) {
            return Ok(Some(format!(
                "accounts hold {sum}, {entries} entries end in {last:x}, expected {found:x?}"
            )));
        }
    }
    if thorough {
        let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        if check != "ok" {
            return Ok(Some(format!("integrity_check: {check}")));
        }
    }
    Ok(None)
}

fn is_busy(result: &Result<(), Error>) -> bool {
    result.as_ref().is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy))
}
