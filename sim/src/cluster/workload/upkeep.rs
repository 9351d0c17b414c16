use litefs_core::File;
use rusqlite::Error;

use super::program::Program;
use super::session::Session;

impl Program {
    pub(super) fn checkpoint(&mut self, session: &Session) -> Result<(), Error> {
        let open = self.rng.pick(&session.open);
        let kind = self.rng.pick(&["PASSIVE", "FULL", "RESTART", "TRUNCATE"]);
        let sql = format!("PRAGMA {}.wal_checkpoint({kind})", open.schema);
        let (busy, frames): (i64, i64) =
            session.connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        // Outside of WAL mode there are -1 frames.
        if busy == 0 && frames >= 0 {
            self.node.record.probe(match kind {
                "PASSIVE" => "passive checkpoint",
                "FULL" => "full checkpoint",
                "RESTART" => "restarting checkpoint",
                _ => "truncating checkpoint",
            });
        }
        Ok(())
    }

    pub(super) fn vacuum(&mut self, session: &Session) -> Result<(), Error> {
        if !self.features().vacuum {
            return Ok(());
        }
        let (connection, open) = (&session.connection, self.rng.pick(&session.open));
        if self.features().page_sizes && self.rng.percent(50) {
            let size = self.rng.pick(&[512, 1024, 4096, 8192]);
            let sql = format!("PRAGMA {}.journal_mode", open.schema);
            let mode = connection.query_row(&sql, [], |row| row.get::<_, String>(0))?;
            let has_wal = self.node.database(open.database).is_some_and(|database| {
                let wal = self.node.disk().len(&database.path(File::Wal));
                wal.is_some_and(|len| len > 0)
            });
            // SQLite itself damages a database whose page size changes while it goes on with a WAL that it could not
            // remove when it left WAL mode.
            if mode == "wal" || !has_wal {
                connection.execute_batch(&format!("PRAGMA {}.page_size = {size}", open.schema))?;
                self.node.record.probe("page size changed");
            }
        }
        if self.rng.percent(20) {
            // Without the pages that say who points where to others with them, and back, it takes a whole vacuum.
            let kind = self.rng.pick(&[0, 1, 2]);
            connection.execute_batch(&format!("PRAGMA {}.auto_vacuum = {kind}", open.schema))?;
        }
        if session.unjournaled {
            return Ok(());
        }
        connection.execute_batch(&format!("VACUUM {}", open.schema))?;
        self.node.record.probe("vacuum");
        Ok(())
    }

    pub(super) fn incremental_vacuum(&mut self, session: &Session) -> Result<(), Error> {
        let open = self.rng.pick(&session.open);
        if session.unjournaled {
            return Ok(());
        }
        session.connection.execute_batch(&format!("PRAGMA {}.incremental_vacuum(3)", open.schema))
    }

    pub(super) fn change_journal_mode(&mut self, session: &mut Session) -> Result<(), Error> {
        let (open, mode) = (self.rng.pick(&session.open), self.draw_journal_mode());
        let sql = format!("PRAGMA {}.journal_mode = {mode}", open.schema);
        let now: String = session.connection.query_row(&sql, [], |row| row.get(0))?;
        // What the other databases of the connection are in does not matter: with one that has none, nothing is sure.
        session.unjournaled |= ["memory", "off"].contains(&now.as_str());
        if now == mode {
            self.node.record.probe("journal mode changed");
        }
        Ok(())
    }

    pub(super) fn change_locking_mode(&mut self, session: &Session) -> Result<(), Error> {
        if !self.plan.machine.exclusive_locking {
            return Ok(());
        }
        let mode = self.rng.pick(&["exclusive", "normal"]);
        self.node.record.probe("locking mode changed");
        session.connection.query_row(&format!("PRAGMA locking_mode = {mode}"), [], |_| Ok(()))
    }
}
