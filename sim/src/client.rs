use std::cell::RefCell;
use std::rc::Rc;

use litefs_core::File;
use rusqlite::{Connection, Error, ErrorCode, params};

use crate::content_check;
use crate::coroutine;
use crate::history::{History, Outcome};
use crate::node::{Node, Process};
use crate::plan::{JournalMode, Often, Plan, Synchronous, UnderTest};
use crate::rng::Rng;

/// One application with one connection, doing what its random numbers say.
#[derive(Debug)]
pub(crate) struct Client {
    number: u64,
    node: Rc<Node>,
    /// The directory that stands for the node.
    directory: String,
    plan: Rc<Plan>,
    history: Rc<RefCell<History>>,
    rng: Rng,
    /// As what the current step runs.
    process: Option<Process>,
    connection: Option<Connection>,
}

impl Client {
    /// An application that has not connected yet.
    pub(crate) fn new(
        number: u64,
        node: Rc<Node>,
        directory: String,
        plan: Rc<Plan>,
        history: Rc<RefCell<History>>,
        rng: Rng,
    ) -> Self {
        Self { number, node, directory, plan, history, rng, process: None, connection: None }
    }

    /// Does everything the plan has for one life, or as much as that lasts, beginning as `process`. The connection stays
    /// open.
    pub(crate) async fn live(mut self, process: Process) -> Self {
        let daemon = process.daemon();
        let mut process = process;
        self.process = Some(process);
        for _ in 0..self.plan.steps {
            if !self.is_alive() {
                if !self.node.is_alive(daemon) {
                    break;
                }
                // It was killed alone: somebody starts it again.
                self = self.disconnect().await;
                process = process.restarted();
                self.process = Some(process);
            }
            self = coroutine::run(&Rc::clone(&self.node), process, move || {
                self.step();
                self
            })
            .await;
        }
        self
    }

    /// Ends the connection: in order, or by force if its process is dead.
    pub(crate) async fn disconnect(mut self) -> Self {
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

    /// One step: a transaction, or one of the other things that applications do.
    fn step(&mut self) {
        let Some(connection) = self.connection.take() else {
            match self.connect() {
                Ok(connection) => self.connection = Some(connection),
                Err(error) => self.note("connect", &Err(error)),
            }
            return;
        };
        let step = match self.plan.often {
            Some(often) if self.rng.percent(50) => match often {
                Often::LargeWrite => 60,
                Often::Checkpoint => 75,
                Often::Vacuum => 81,
                Often::JournalMode => 88,
                Often::WriteBoth => 93,
            },
            _ => self.rng.below(100),
        };
        let (name, result) = match step {
            0..60 => ("write", self.write(&connection, false)),
            60..65 => ("large write", self.write(&connection, true)),
            65..75 => ("read", self.read(&connection)),
            75..81 => ("checkpoint", self.checkpoint(&connection)),
            81..83 => ("vacuum", self.vacuum(&connection)),
            83..85 => ("incremental_vacuum", connection.execute_batch("PRAGMA incremental_vacuum(3)")),
            85..88 => ("schema", self.change_schema(&connection)),
            88..91 => ("journal_mode", self.change_journal_mode(&connection)),
            91..93 => ("locking_mode", self.change_locking_mode(&connection)),
            93..97 => ("write both", self.write_both(&connection)),
            _ => {
                let closed = connection.close().map_err(|(_, error)| error);
                self.note("close", &closed);
                return;
            }
        };
        self.note(name, &result);
        if !connection.is_autocommit() {
            let result = connection.execute_batch("ROLLBACK");
            self.note("rollback", &result);
        }
        // An application that meets an error it does not know starts afresh, sooner or later.
        if result.is_ok() || is_busy(&result) || self.rng.percent(50) {
            self.connection = Some(connection);
        }
    }

    fn connect(&mut self) -> Result<Connection, Error> {
        let plan = &self.plan;
        let connection = Connection::open(format!("{}a.db", self.directory))?;
        connection.execute_batch(&format!(
            "PRAGMA busy_timeout = {}; PRAGMA page_size = {}; PRAGMA auto_vacuum = {}; PRAGMA temp_store = memory;",
            self.rng.pick(&[0, 5, 50]),
            plan.page_size,
            plan.auto_vacuum
        ))?;
        if plan.attach {
            connection.execute("ATTACH ?1 AS b", [format!("{}b.db", self.directory)])?;
        }
        for schema in if plan.attach { &["main", "b"][..] } else { &["main"] } {
            let mode = plan.journal_mode.sql();
            connection.execute_batch(&format!(
                "PRAGMA {schema}.cache_size = {}; PRAGMA {schema}.synchronous = {}; PRAGMA {schema}.journal_mode = {mode}",
                plan.cache_pages,
                plan.synchronous.sql()
            ))?;
        }
        connection.execute_batch(&format!("PRAGMA wal_autocheckpoint = {}", plan.auto_checkpoint))?;
        if self.rng.percent(20) {
            connection.execute_batch("PRAGMA secure_delete = on; PRAGMA journal_size_limit = 4000")?;
        }
        Ok(connection)
    }

    /// One transaction that moves amounts between accounts, changes items and counts itself.
    fn write(&mut self, connection: &Connection, large: bool) -> Result<(), Error> {
        let begin = self.rng.pick(&["BEGIN", "BEGIN IMMEDIATE", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"]);
        connection.execute_batch(begin)?;
        for _ in 0..self.rng.between(1, if large { 40 } else { 5 }) {
            self.change(connection, "main", large)?;
        }
        if large {
            // Pages that the database grows by and that are free again at commit are never written.
            let pages = self.rng.between(1, 12) * u64::from(self.plan.page_size);
            connection.execute("INSERT OR REPLACE INTO item VALUES (1000, zeroblob(?1))", [pages])?;
            connection.execute("DELETE FROM item WHERE id = 1000", [])?;
        }
        let number = self.history.borrow_mut().begin("a.db", self.number);
        let counted = self.count(connection, "main", number);
        if counted.is_err() || self.rng.percent(15) {
            let result = connection.execute_batch("ROLLBACK");
            self.end("a.db", number, Outcome::Void);
            return counted.and(result);
        }
        let result = connection.execute_batch("COMMIT");
        let outcome = self.outcome(connection, &result);
        self.end("a.db", number, outcome);
        result
    }

    /// One transaction over both databases.
    fn write_both(&mut self, connection: &Connection) -> Result<(), Error> {
        if !self.plan.attach {
            return self.write(connection, false);
        }
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut numbers = Vec::new();
        let mut result = Ok(());
        for (schema, database) in [("main", "a.db"), ("b", "b.db")] {
            self.change(connection, schema, false)?;
            let number = self.history.borrow_mut().begin(database, self.number);
            numbers.push((database, number));
            result = self.count(connection, schema, number);
            if result.is_err() {
                // SQLite may have rolled back already; what came now would be a transaction of its own.
                break;
            }
        }
        let (result, outcome) = if result.is_ok() {
            let result = connection.execute_batch("COMMIT");
            // Where it fails after it has reached the first of them, the other says so by its own rules.
            let outcome = match self.outcome(connection, &result) {
                Outcome::Void => Outcome::Unknown,
                outcome => outcome,
            };
            (result, outcome)
        } else {
            (connection.execute_batch("ROLLBACK").and(result), Outcome::Void)
        };
        for (database, number) in numbers {
            self.end(database, number, outcome);
        }
        self.node.record.probe("transaction over two databases");
        result
    }

    /// Counts a transaction in the row of this client.
    fn count(&self, connection: &Connection, schema: &str, number: u64) -> Result<(), Error> {
        let sql = format!(
            "INSERT INTO {schema}.ledger VALUES (?1, ?2) ON CONFLICT DO UPDATE SET number = excluded.number"
        );
        connection.execute(&sql, params![self.number, number]).map(drop)
    }

    /// One change inside a transaction.
    fn change(&mut self, connection: &Connection, schema: &str, large: bool) -> Result<(), Error> {
        let id = self.rng.below(60);
        match self.rng.below(10) {
            0..4 => {
                let pages = if large { 6 } else { 2 };
                let len = match self.rng.below(4) {
                    0 => self.rng.below(u64::from(self.plan.page_size) * pages),
                    _ => self.rng.below(300),
                };
                let mut body = vec![0; usize::try_from(len).unwrap_or(0)];
                self.rng.fill(&mut body);
                connection.execute(
                    &format!("INSERT OR REPLACE INTO {schema}.item VALUES (?1, ?2)"),
                    params![id, body],
                )
            }
            4..6 => connection.execute(&format!("DELETE FROM {schema}.item WHERE id = ?1"), [id]),
            6 => connection.execute(&format!("DELETE FROM {schema}.item WHERE id >= ?1"), [id]),
            7 => {
                connection.execute_batch("SAVEPOINT inner")?;
                self.change(connection, schema, large)?;
                self.change(connection, schema, large)?;
                let undo = self.rng.percent(50);
                connection.execute_batch(if undo {
                    "ROLLBACK TO inner; RELEASE inner"
                } else {
                    "RELEASE inner"
                })?;
                Ok(0)
            }
            _ => {
                let amount = self.rng.below(20);
                for (sign, account) in [("-", self.rng.between(1, 8)), ("+", self.rng.between(1, 8))] {
                    let sql =
                        format!("UPDATE {schema}.account SET balance = balance {sign} ?1 WHERE id = ?2");
                    connection.execute(&sql, [amount, account])?;
                }
                Ok(0)
            }
        }
        .map(drop)
    }

    /// Looks at the database in one transaction.
    fn read(&mut self, connection: &Connection) -> Result<(), Error> {
        connection.execute_batch("BEGIN")?;
        let seen = content_check::look(connection, "main", self.rng.percent(10))?;
        let past = self.history.borrow().check_past("a.db", &seen.numbers);
        for wrong in [seen.wrong, past.err()].into_iter().flatten() {
            // A dead process reads nothing but errors, and integrity_check reports those as damage.
            if self.is_alive() {
                self.node.record.violation(format!("client {} read a.db: {wrong}", self.number));
            }
        }
        connection.execute_batch("COMMIT")
    }

    fn checkpoint(&mut self, connection: &Connection) -> Result<(), Error> {
        let kind = self.rng.pick(&["PASSIVE", "FULL", "RESTART", "TRUNCATE"]);
        connection.query_row(&format!("PRAGMA wal_checkpoint({kind})"), [], |_| Ok(()))
    }

    fn vacuum(&mut self, connection: &Connection) -> Result<(), Error> {
        if self.rng.percent(30) {
            let size = self.rng.pick(&[512, 1024, 4096, 8192]);
            let mode = connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))?;
            let has_wal = self.node.databases().iter().any(|database| {
                let wal = self.node.disk().len(&database.path(File::Wal));
                wal.is_some_and(|len| len > 0)
            });
            // SQLite itself damages a database whose page size changes while it goes on with a WAL that it could not
            // remove when it left WAL mode.
            if mode == "wal" || !has_wal {
                connection.execute_batch(&format!("PRAGMA page_size = {size}"))?;
            }
        }
        connection.execute_batch("VACUUM")
    }

    fn change_schema(&mut self, connection: &Connection) -> Result<(), Error> {
        let table = format!("extra{}", self.rng.below(3));
        connection.execute_batch(&if self.rng.percent(50) {
            format!("CREATE TABLE IF NOT EXISTS {table} AS SELECT id, body FROM item LIMIT 20")
        } else {
            format!("DROP TABLE IF EXISTS {table}")
        })
    }

    fn change_journal_mode(&mut self, connection: &Connection) -> Result<(), Error> {
        if !self.plan.switch_journal_mode {
            return Ok(());
        }
        let mode = self.rng.pick(&JournalMode::ALL).sql();
        connection.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |row| row.get::<_, String>(0)).map(
            |now| {
                if now == mode {
                    self.node.record.probe("journal mode changed");
                }
            },
        )
    }

    fn change_locking_mode(&mut self, connection: &Connection) -> Result<(), Error> {
        if !self.plan.exclusive_locking {
            return Ok(());
        }
        let mode = self.rng.pick(&["exclusive", "normal"]);
        connection.execute_batch(&format!("PRAGMA locking_mode = {mode}"))
    }

    /// What a connection knows about its transaction after `COMMIT`. A daemon that gives up in the middle of it says as
    /// little as one that dies.
    fn outcome(&self, connection: &Connection, result: &Result<(), Error>) -> Outcome {
        match result {
            _ if !self.is_alive() => Outcome::Unknown,
            Ok(()) if self.plan.synchronous == Synchronous::Full => Outcome::Durable,
            Ok(()) => Outcome::Committed,
            // SQLite alone leaves it open whether a commit that failed late is there. The machine does not.
            Err(_) if self.plan.under_test == UnderTest::Nothing && connection.is_autocommit() => {
                Outcome::Unknown
            }
            Err(_) if self.node.databases().iter().any(|database| database.is_stopped()) => {
                self.node.record.probe("database stopped in a commit");
                Outcome::Unknown
            }
            // SQLite itself commits and says that it did not.
            Err(_) if self.node.take_commit_seems_failed() => Outcome::Unknown,
            // Without powersafe overwrite SQLite pads a commit in the WAL with copies of its last frame. When the disk
            // refuses those, the commit itself is on it already.
            Err(_) if !self.plan.powersafe_overwrite => Outcome::Unknown,
            Err(_) => Outcome::Void,
        }
    }

    fn is_alive(&self) -> bool {
        self.process.is_some_and(|process| self.node.is_alive(process))
    }

    fn end(&self, database: &'static str, number: u64, outcome: Outcome) {
        self.node
            .record
            .event(format_args!("client {} {database} transaction {number} {outcome:?}", self.number));
        self.history.borrow_mut().end(database, self.number, number, outcome);
    }

    /// Records what a step came to. That the database is damaged is never an answer.
    fn note(&self, step: &str, result: &Result<(), Error>) {
        let text = match result {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        self.node.record.event(format_args!("client {} {step}: {text}", self.number));
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

fn is_busy(result: &Result<(), Error>) -> bool {
    result.as_ref().is_err_and(|error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy))
}
