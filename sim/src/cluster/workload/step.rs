use litefs_core::File;
use rusqlite::{Connection, Error};

use super::program::{Program, is_busy};
use super::session::{Open, Session};
use crate::plan::JournalMode;

impl Program {
    /// One step: a transaction, or one of the other things that programs do.
    pub(super) fn step(&mut self) {
        if self.features().changes_files() && self.changes_files_now() {
            return;
        }
        let some = usize::try_from(self.features().sessions).unwrap_or(1);
        let which = self.rng.index(some);
        if which >= self.sessions.len() {
            match self.connect() {
                Ok(session) => self.sessions.push(session),
                Err(error) => self.note("connect", &Err(error)),
            }
            return;
        }
        let mut session = self.sessions.swap_remove(which);
        if session.reading.is_some() {
            let result = self.read_on(&mut session);
            self.go_on(session, "long read", &result);
            return;
        }
        if self.inodes(&session.open) != session.inodes {
            // It would read for ever what there was before the removal.
            self.node.record.probe("database removed under a program");
            self.close(session, "close");
            return;
        }
        let (name, result) = match self.rng.below(100) {
            0..45 => ("write", self.write(&session, false)),
            45..49 => ("large write", self.write(&session, true)),
            49..84 => ("read", self.read(&mut session)),
            84..90 => ("checkpoint", self.checkpoint(&session)),
            90..92 => ("vacuum", self.vacuum(&session)),
            92..94 => ("incremental vacuum", self.incremental_vacuum(&session)),
            94..96 => ("journal mode", self.change_journal_mode(&mut session)),
            96 => ("locking mode", self.change_locking_mode(&session)),
            _ => {
                self.close(session, "close");
                return;
            }
        };
        self.go_on(session, name, &result);
    }

    /// Records what a step of a connection came to, and keeps the connection unless it is of no use.
    fn go_on(&mut self, mut session: Session, name: &str, result: &Result<(), Error>) {
        self.note(name, result);
        if (result.is_err() || session.reading.is_none())
            && let Some(rolled_back) = session.roll_back()
        {
            self.note("rollback", &rolled_back);
        }
        // A program that meets an error it does not know starts afresh, sooner or later.
        if result.is_ok() || is_busy(result) || self.rng.percent(50) {
            self.sessions.push(session);
        }
    }

    fn connect(&mut self) -> Result<Session, Error> {
        let open = self.draw_open();
        let plan = &self.plan.machine;
        let connection = Connection::open(format!("{}{}", self.directory, open[0].database))?;
        let features = &self.plan.workload;
        let temp_store = if features.temporary { "file" } else { "memory" };
        let auto_checkpoint = if features.no_auto_checkpoint { 0 } else { plan.auto_checkpoint };
        connection.execute_batch(&format!(
            "PRAGMA busy_timeout = {}; PRAGMA temp_store = {temp_store}; PRAGMA wal_autocheckpoint = {auto_checkpoint}",
            self.rng.pick(&[0, 5, 50]),
        ))?;
        // A later VACUUM would give a database that exists the page size that was asked for.
        if connection.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0))? == 0 {
            connection.execute_batch(&format!(
                "PRAGMA page_size = {}; PRAGMA auto_vacuum = {}",
                plan.page_size, plan.auto_vacuum
            ))?;
        }
        for Open { schema, database } in &open[1..] {
            connection
                .execute(&format!("ATTACH ?1 AS {schema}"), [format!("{}{database}", self.directory)])?;
            self.node.record.probe("database attached");
        }
        for Open { schema, .. } in &open {
            connection.execute_batch(&format!(
                "PRAGMA {schema}.cache_size = {}; PRAGMA {schema}.synchronous = {}",
                plan.cache_pages,
                plan.synchronous.sql()
            ))?;
        }
        if features.secure_delete {
            connection.execute_batch("PRAGMA secure_delete = on")?;
        }
        if features.journal_size_limit {
            connection.execute_batch("PRAGMA journal_size_limit = 4000")?;
        }
        let inodes = self.inodes(&open);
        let mut session = Session { connection, open, inodes, reading: None, unjournaled: false };
        if self.rng.percent(20) {
            let result = self.change_journal_mode(&mut session);
            self.note("journal mode", &result);
        }
        Ok(session)
    }

    /// What the names of databases stand for.
    fn inodes(&self, open: &[Open]) -> Vec<Option<u64>> {
        let path = |open: &Open| Some(self.node.database(open.database)?.path(File::Database));
        open.iter().map(|open| self.node.disk().inode(&path(open)?)).collect()
    }

    /// The databases of a new connection.
    fn draw_open(&mut self) -> Vec<Open> {
        let [a, b] = ["a.db", "b.db"];
        let main = |database| Open { schema: "main", database };
        let second = |database| Open { schema: "second", database };
        if !self.plan.machine.attach {
            return vec![main(a)];
        }
        match self.rng.below(4) {
            0 => vec![main(a)],
            1 => vec![main(b)],
            2 => vec![main(a), second(b)],
            _ => vec![main(b), second(a)],
        }
    }

    /// The journal mode that a database is to have next.
    pub(super) fn draw_journal_mode(&mut self) -> &'static str {
        if self.features().unjournaled && self.rng.percent(20) {
            return self.rng.pick(&["memory", "off"]);
        }
        let plan = &self.plan.machine;
        if plan.switch_journal_mode { self.rng.pick(&JournalMode::ALL) } else { plan.journal_mode }.sql()
    }
}
