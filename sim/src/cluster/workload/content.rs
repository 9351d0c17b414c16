//! What every database holds, and what of it must be true whenever it is looked at.

use rusqlite::{Connection, Error, OptionalExtension};

use super::super::checks::Head;
use crate::rng::Rng;

/// The sum over all accounts. Every transaction only moves amounts between them.
const TOTAL: i64 = 800;
/// Entries of the list that a look reads if it is not thorough.
const ENTRIES: i64 = 5;
/// Bytes of an item that say what the others are.
const ITEM_SEED: usize = 8;

/// What a look at a database found.
#[derive(Debug)]
pub(crate) struct Look {
    /// What must not be.
    pub(crate) wrong: Option<String>,
    /// The last entries of the list, the latest first.
    pub(crate) entries: Vec<Head>,
}

/// Creates what a database begins with. The number of `head` stands for all transactions before.
pub(super) fn create(connection: &Connection, schema: &str) -> Result<(), Error> {
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {schema}.head(id INTEGER PRIMARY KEY, depth INTEGER NOT NULL, number INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS {schema}.entry(depth INTEGER PRIMARY KEY, number INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS {schema}.account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
         INSERT OR IGNORE INTO {schema}.account
             VALUES (1,100),(2,100),(3,100),(4,100),(5,100),(6,100),(7,100),(8,100);
         CREATE TABLE IF NOT EXISTS {schema}.item(id INTEGER PRIMARY KEY, body BLOB NOT NULL);
         CREATE INDEX IF NOT EXISTS {schema}.item_body ON item(substr(body, 1, 8));"
    ))
}

/// What stands for all transactions of the database.
pub(crate) fn head(connection: &Connection, schema: &str) -> Result<Head, Error> {
    if !has(connection, schema, "head")? {
        return Ok(Head::default());
    }
    let sql = format!("SELECT depth, number FROM {schema}.head");
    let head = connection.query_row(&sql, [], |row| Ok(Head { depth: row.get(0)?, number: row.get(1)? }));
    Ok(head.optional()?.unwrap_or_default())
}

/// Adds a transaction to what stands for all of them.
pub(super) fn count(connection: &Connection, schema: &str, head: Head) -> Result<(), Error> {
    let values = [head.depth, head.number];
    connection.execute(&format!("INSERT OR REPLACE INTO {schema}.head VALUES (1, ?1, ?2)"), values)?;
    connection.execute(&format!("INSERT INTO {schema}.entry VALUES (?1, ?2)"), values).map(drop)
}

/// Whether there is something of this name.
pub(super) fn has(connection: &Connection, schema: &str, name: &str) -> Result<bool, Error> {
    let sql = format!("SELECT 1 FROM {schema}.sqlite_schema WHERE name = ?1");
    Ok(connection.query_row(&sql, [name], |_| Ok(())).optional()?.is_some())
}

/// An item of this length, which shows if it is not whole.
pub(super) fn item(rng: &mut Rng, len: usize) -> Vec<u8> {
    let seed = rng.next_u64();
    let mut body = vec![0; len];
    Rng::new(seed).fill(&mut body);
    if let Some(start) = body.first_chunk_mut::<ITEM_SEED>() {
        *start = seed.to_le_bytes();
    }
    body
}

fn is_item(body: &[u8]) -> bool {
    let Some((start, rest)) = body.split_first_chunk::<ITEM_SEED>() else { return true };
    let mut whole = vec![0; body.len()];
    Rng::new(u64::from_le_bytes(*start)).fill(&mut whole);
    rest == &whole[ITEM_SEED..]
}

/// Looks at a database whose head was found to be this, in the same transaction.
pub(crate) fn look(
    connection: &Connection,
    schema: &str,
    found: Head,
    thorough: bool,
) -> Result<Look, Error> {
    let mut look = Look { wrong: None, entries: Vec::new() };
    let again = head(connection, schema)?;
    if again != found {
        look.wrong = Some(format!("{found:?} became {again:?} within a transaction"));
        return Ok(look);
    }
    if found != Head::default() {
        let (sum, count): (i64, i64) = connection.query_row(
            &format!(
                "SELECT (SELECT sum(balance) FROM {schema}.account), (SELECT count(*) FROM {schema}.entry)"
            ),
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if (sum, count) != (TOTAL, found.depth) {
            look.wrong = Some(format!("accounts hold {sum}, there are {count} entries up to {found:?}"));
        }
        look.entries = entries(connection, schema, if thorough { i64::MAX } else { ENTRIES })?;
        if let Some(id) = broken_item(connection, schema, if thorough { i64::MAX } else { 2 })? {
            look.wrong = Some(format!("item {id} is not whole at {found:?}"));
        }
    }
    if thorough {
        let sql = format!("PRAGMA {schema}.integrity_check");
        let check: String = connection.query_row(&sql, [], |row| row.get(0))?;
        if check != "ok" {
            look.wrong = Some(format!("integrity_check: {check}"));
        }
    }
    Ok(look)
}

fn entries(connection: &Connection, schema: &str, limit: i64) -> Result<Vec<Head>, Error> {
    let sql = format!("SELECT depth, number FROM {schema}.entry ORDER BY depth DESC LIMIT ?1");
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([limit], |row| Ok(Head { depth: row.get(0)?, number: row.get(1)? }))?;
    rows.collect()
}

/// An item that is not what somebody wrote, among the first ones.
fn broken_item(connection: &Connection, schema: &str, limit: i64) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare(&format!("SELECT id, body FROM {schema}.item LIMIT ?1"))?;
    let mut rows = statement.query([limit])?;
    while let Some(row) = rows.next()? {
        let (id, body): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        if !is_item(&body) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}
