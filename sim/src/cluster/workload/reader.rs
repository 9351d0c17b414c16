use std::time::Duration;

use rusqlite::Error;

use super::content;
use super::program::Program;
use super::session::{Found, Open, Reading, Session};
use crate::coroutine;
use crate::rt;

impl Program {
    /// Looks at all databases of a connection in one transaction, which may go on for long.
    pub(super) fn read(&mut self, session: &mut Session) -> Result<(), Error> {
        let found = self.begin(&session.connection, &session.open.clone(), "BEGIN")?;
        if self.features().long_readers && self.rng.percent(10) {
            let until_ns = rt::elapsed_ns() + self.rng.between(200, 4000) * 1_000_000;
            session.reading = Some(Reading { until_ns, found });
            return Ok(());
        }
        if self.rng.percent(30) {
            // Others go on meanwhile, and it must not notice.
            coroutine::pause(Duration::from_millis(self.rng.between(1, 30)));
        }
        self.look(session, &found)?;
        session.connection.execute_batch("COMMIT")
    }

    /// Looks again in a transaction that began long ago, and ends it if it is time.
    pub(super) fn read_on(&mut self, session: &mut Session) -> Result<(), Error> {
        let Some(reading) = session.reading.take() else { return Ok(()) };
        let over = rt::elapsed_ns() >= reading.until_ns;
        if over || self.rng.percent(20) {
            self.look(session, &reading.found)?;
        }
        if !over {
            session.reading = Some(reading);
            return Ok(());
        }
        self.node.record.probe("long reader");
        session.connection.execute_batch("COMMIT")
    }

    fn look(&mut self, session: &Session, found: &[Found]) -> Result<(), Error> {
        for Found { open: Open { schema, database }, head, .. } in found {
            let look = content::look(&session.connection, schema, *head, self.rng.percent(8))?;
            let ledger = self.witness.ledger.borrow();
            // A dead process reads nothing but errors, and integrity_check reports those as damage.
            if self.is_alive() && ledger.is_whole(database) {
                let path = ledger.check_path(database, *head, &look.entries).err();
                for wrong in look.wrong.into_iter().chain(path) {
                    self.violation(&format!("{database}: {wrong}"));
                }
            }
        }
        Ok(())
    }
}
