use std::collections::{BTreeMap, BTreeSet};

use crate::plan::Crash;

/// What the connections were told about their transactions.
///
/// Every connection counts its transactions in a row of its own, one higher each time and in the transaction itself, so
/// a database tells which of them it holds.
#[derive(Debug, Default)]
pub(crate) struct History {
    rows: BTreeMap<(&'static str, u64), Row>,
}

#[derive(Debug, Default)]
struct Row {
    /// The highest number that was tried.
    tried: u64,
    /// The highest number that was committed, as far as the connection knows.
    committed: u64,
    /// The highest number that SQLite promised to keep through a loss of power.
    durable: u64,
    /// Numbers of transactions that must never be seen.
    void: BTreeSet<u64>,
}

/// What became of a transaction, as its connection was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Committed, and SQLite promised that a loss of power spares it.
    Durable,
    /// Committed.
    Committed,
    /// Not committed.
    Void,
    /// The connection ended before it was told.
    Unknown,
}

impl History {
    /// The number of the next transaction of `client`.
    pub(crate) fn begin(&mut self, database: &'static str, client: u64) -> u64 {
        let row = self.rows.entry((database, client)).or_default();
        row.tried += 1;
        row.tried
    }

    /// What became of transaction `number`.
    pub(crate) fn end(&mut self, database: &'static str, client: u64, number: u64, outcome: Outcome) {
        let row = self.rows.entry((database, client)).or_default();
        match outcome {
            Outcome::Durable => {
                row.durable = number;
                row.committed = number;
            }
            Outcome::Committed => row.committed = number,
            Outcome::Void => {
                row.void.insert(number);
            }
            Outcome::Unknown => {}
        }
    }

    /// Whether the database may hold these numbers, by client, at some moment in its past.
    pub(crate) fn check_past(&self, database: &str, numbers: &BTreeMap<u64, u64>) -> Result<(), String> {
        for (client, number) in numbers {
            let row = self.row(database, *client);
            let tried = row.map_or(0, |row| row.tried);
            if *number > tried {
                return Err(format!(
                    "client {client}: transaction {number} was never tried, the last was {tried}"
                ));
            }
            if row.is_some_and(|row| row.void.contains(number)) {
                return Err(format!(
                    "client {client}: transaction {number} is there though it was not committed"
                ));
            }
        }
        Ok(())
    }

    /// Whether the database may hold these numbers now, `crash` having ended the life before. What it does not hold
    /// then must never come back.
    pub(crate) fn check_now(
        &mut self,
        database: &str,
        numbers: &BTreeMap<u64, u64>,
        crash: Option<Crash>,
    ) -> Result<(), String> {
        self.check_past(database, numbers)?;
        for ((_, client), row) in self.rows.iter_mut().filter(|((name, _), _)| *name == database) {
            let found = numbers.get(client).copied().unwrap_or(0);
            let promised = if crash == Some(Crash::PowerLoss) { row.durable } else { row.committed };
            if found < promised {
                return Err(format!(
                    "client {client}: the last transaction is {found}, but {promised} was committed, and {crash:?} must \
                     spare it"
                ));
            }
            row.void.extend(found + 1..=row.tried);
            row.committed = found;
        }
        Ok(())
    }

    /// The number of transactions that were tried, and of those that must never be seen.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let tried = self.rows.values().map(|row| row.tried).sum();
        (tried, self.rows.values().map(|row| row.void.len() as u64).sum())
    }

    fn row(&self, database: &str, client: u64) -> Option<&Row> {
        self.rows
            .iter()
            .find(|((name, number), _)| *name == database && *number == client)
            .map(|(_, row)| row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_of_power_spares_what_was_promised_and_a_kill_everything() {
        let mut history = History::default();
        for outcome in [Outcome::Durable, Outcome::Committed, Outcome::Unknown] {
            let number = history.begin("a.db", 1);
            history.end("a.db", 1, number, outcome);
        }
        let at = |number| BTreeMap::from([(1, number)]);
        assert!(history.check_now("a.db", &at(1), Some(Crash::Kill)).is_err());
        assert!(history.check_now("a.db", &at(0), Some(Crash::PowerLoss)).is_err());
        assert!(history.check_now("a.db", &at(4), Some(Crash::PowerLoss)).is_err());
        assert_eq!(history.check_now("a.db", &at(1), Some(Crash::PowerLoss)), Ok(()));
        assert!(history.check_past("a.db", &at(3)).is_err(), "what was lost came back");
    }

    #[test]
    fn failed_transaction_is_never_there() {
        let mut history = History::default();
        let number = history.begin("a.db", 1);
        history.end("a.db", 1, number, Outcome::Void);
        assert!(history.check_past("a.db", &BTreeMap::from([(1, number)])).is_err());
    }
}
