use rusqlite::{Connection, Error};

use super::content;
use super::program::Program;

/// How deep savepoints are in each other.
const NESTED: u64 = 3;

impl Program {
    /// One change inside a transaction.
    pub(super) fn change(
        &mut self,
        connection: &Connection,
        schema: &str,
        large: bool,
        nested: u64,
    ) -> Result<(), Error> {
        let id = self.rng.below(60);
        match self.rng.below(12) {
            0..4 => {
                let body = self.draw_item(large);
                let sql = format!("INSERT OR REPLACE INTO {schema}.item VALUES (?1, ?2)");
                connection.execute(&sql, rusqlite::params![id, body]).map(drop)
            }
            4..6 => connection.execute(&format!("DELETE FROM {schema}.item WHERE id = ?1"), [id]).map(drop),
            6 => connection.execute(&format!("DELETE FROM {schema}.item WHERE id >= ?1"), [id]).map(drop),
            7 if nested < NESTED => self.nest(connection, schema, large, nested),
            8 if self.features().schema => self.change_schema(connection, schema),
            9 if self.features().temporary => self.change_by_way_of_temporary(connection, schema),
            _ => {
                let amount = self.rng.below(20);
                for (sign, account) in [("-", self.rng.between(1, 8)), ("+", self.rng.between(1, 8))] {
                    let sql =
                        format!("UPDATE {schema}.account SET balance = balance {sign} ?1 WHERE id = ?2");
                    connection.execute(&sql, [amount, account])?;
                }
                Ok(())
            }
        }
    }

    fn draw_item(&mut self, large: bool) -> Vec<u8> {
        let pages = if large { 6 } else { 2 };
        let len = match self.rng.below(4) {
            0 => self.rng.below(u64::from(self.plan.machine.page_size) * pages),
            _ => self.rng.below(300),
        };
        content::item(&mut self.rng, usize::try_from(len).unwrap_or(0))
    }

    /// Changes between savepoints, of which some are taken back.
    fn nest(&mut self, connection: &Connection, schema: &str, large: bool, nested: u64) -> Result<(), Error> {
        connection.execute_batch(&format!("SAVEPOINT inner{nested}"))?;
        for _ in 0..self.rng.between(1, 3) {
            self.change(connection, schema, large, nested + 1)?;
        }
        if nested == NESTED - 1 {
            self.node.record.probe("savepoints in savepoints");
        }
        let undo = self.rng.percent(50);
        if undo {
            connection.execute_batch(&format!("ROLLBACK TO inner{nested}"))?;
        }
        connection.execute_batch(&format!("RELEASE inner{nested}"))
    }

    /// Tables, indexes and columns come and go, beside those that everything is counted in.
    fn change_schema(&mut self, connection: &Connection, schema: &str) -> Result<(), Error> {
        let table = format!("extra{}", self.rng.below(3));
        let sql = if !content::has(connection, schema, &table)? {
            format!("CREATE TABLE {schema}.{table} AS SELECT id, body FROM {schema}.item LIMIT 20")
        } else {
            match self.rng.below(4) {
                0 => format!("DROP TABLE {schema}.{table}"),
                1 => format!("CREATE INDEX IF NOT EXISTS {schema}.{table}_body ON {table}(body)"),
                2 => format!("DROP INDEX IF EXISTS {schema}.{table}_body"),
                _ => {
                    let column = self.rng.next_u64();
                    format!("ALTER TABLE {schema}.{table} ADD COLUMN c{column:x} DEFAULT 'none'")
                }
            }
        };
        self.node.record.probe("schema changed");
        connection.execute_batch(&sql)
    }

    /// Items that a table of this connection alone held in between.
    fn change_by_way_of_temporary(&self, connection: &Connection, schema: &str) -> Result<(), Error> {
        self.node.record.probe("temporary table");
        connection.execute_batch(&format!(
            "CREATE TEMP TABLE IF NOT EXISTS scratch(id INTEGER, body BLOB);
             INSERT INTO scratch SELECT id, body FROM {schema}.item LIMIT 10;
             INSERT OR REPLACE INTO {schema}.item SELECT id + 1, body FROM scratch ORDER BY body;
             DELETE FROM scratch"
        ))
    }

    /// Pages that the database grows by and that are free again at commit are never written.
    pub(super) fn grow_and_give_up(&mut self, connection: &Connection, schema: &str) -> Result<(), Error> {
        let len = self.rng.between(1, 12) * u64::from(self.plan.machine.page_size);
        connection.execute(&format!("INSERT INTO {schema}.item VALUES (1000, zeroblob(?1))"), [len])?;
        connection.execute(&format!("DELETE FROM {schema}.item WHERE id = 1000"), []).map(drop)
    }
}
