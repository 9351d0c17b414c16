//! What a database must hold whatever moment it is seen at.

use std::collections::BTreeMap;

use rusqlite::{Connection, Error, OptionalExtension};

/// The sum over all accounts. Every transaction only moves amounts between them.
pub(crate) const TOTAL: i64 = 800;

/// The tables of a database, and what they hold at first.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE ledger(client INTEGER PRIMARY KEY, number INTEGER NOT NULL);
    CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
    INSERT INTO account VALUES (1,100),(2,100),(3,100),(4,100),(5,100),(6,100),(7,100),(8,100);
    CREATE TABLE item(id INTEGER PRIMARY KEY, body BLOB NOT NULL);
    CREATE INDEX item_body ON item(substr(body, 1, 8));
";

/// What one look at a database found.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The number of the last transaction of each client.
    pub(crate) numbers: BTreeMap<u64, u64>,
    /// What must not be.
    pub(crate) wrong: Option<String>,
}

/// Looks at `schema` of a connection, in one transaction. Checks the whole structure if `thorough`.
pub(crate) fn look(connection: &Connection, schema: &str, thorough: bool) -> Result<Seen, Error> {
    let table = |name: &str| -> Result<bool, Error> {
        let sql = format!("SELECT 1 FROM {schema}.sqlite_schema WHERE name = ?1");
        Ok(connection.query_row(&sql, [name], |_| Ok(())).optional()?.is_some())
    };
    let mut seen = Seen::default();
    if table("ledger")? {
        let mut statement = connection.prepare(&format!("SELECT client, number FROM {schema}.ledger"))?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        seen.numbers = rows.collect::<Result<_, _>>()?;
    }
    if table("account")? {
        let sql = format!("SELECT coalesce(sum(balance), 0), count(*) FROM {schema}.account");
        let (sum, count) =
            connection.query_row(&sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        if sum != TOTAL {
            seen.wrong = Some(format!("{count} accounts hold {sum} in total instead of {TOTAL}"));
        }
    }
    if thorough {
        let check: String =
            connection.query_row(&format!("PRAGMA {schema}.integrity_check"), [], |row| row.get(0))?;
        if check != "ok" {
            seen.wrong = Some(format!("integrity_check: {check}"));
        }
    }
    Ok(seen)
}
