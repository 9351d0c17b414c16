use litefs_core::database::JournalMode;
use litefs_core::{PageNumber, PageSize};
use rusqlite::Connection;

use super::mode_of;

/// A database that is written by SQLite, and whose transactions are taken by comparing it before and after.
pub(super) struct Source {
    dir: tempfile::TempDir,
    connection: Connection,
    image: Vec<u8>,
}

/// What changed, as a replica is told of it.
#[derive(Clone)]
pub(super) struct Transaction {
    pub(super) page_size: PageSize,
    pub(super) commit: u32,
    pub(super) pages: Vec<(PageNumber, Vec<u8>)>,
    pub(super) journal_mode: JournalMode,
    pub(super) snapshot: bool,
}

impl Source {
    /// In the journal mode, with the page size, and with 20 accounts of 100 each, a log and its summary.
    pub(super) fn new(journal_mode: &str, page_size: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("db")).unwrap();
        let mut source = Self { dir, connection, image: Vec::new() };
        source.run(&format!(
            "PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = {journal_mode};
             PRAGMA synchronous = OFF;
             CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER);
             CREATE TABLE log(seq INTEGER PRIMARY KEY, filler BLOB);
             CREATE TABLE meta(seq INTEGER, entries INTEGER);
             WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 20)
             INSERT INTO account SELECT i, 100 FROM n;
             INSERT INTO meta VALUES(0, 0);"
        ));
        source
    }

    /// Runs statements and takes what they changed as one transaction.
    pub(super) fn run(&mut self, sql: &str) -> Transaction {
        self.connection.execute_batch(sql).unwrap();
        let before = core::mem::take(&mut self.image);
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        self.image = std::fs::read(self.dir.path().join("db")).unwrap();
        let size = self.page_size().bytes();
        let old: Vec<&[u8]> = before.chunks(size).collect();
        let resized = before.get(16..18) != self.image.get(16..18);
        let differs = |index: usize, page: &[u8]| resized || old.get(index) != Some(&page);
        let pages =
            self.pages().into_iter().filter(|(page, content)| differs(page.get() as usize - 1, content));
        Transaction { pages: pages.collect(), snapshot: false, ..self.snapshot() }
    }

    /// A transfer between accounts and an entry in the log; every so often the log is cut, and the file with it.
    pub(super) fn transfer(&mut self, seq: u64) -> Transaction {
        let (from, to) = (seq % 20 + 1, (seq * 7 + 3) % 20 + 1);
        let cut = if seq.is_multiple_of(97) {
            "DELETE FROM log WHERE seq <= (SELECT max(seq) - 10 FROM log);
             UPDATE meta SET entries = (SELECT count(*) FROM log);"
        } else {
            ""
        };
        let vacuum = if seq.is_multiple_of(97) { "PRAGMA incremental_vacuum;" } else { "" };
        self.run(&format!(
            "BEGIN;
             UPDATE account SET balance = balance - 1 WHERE id = {from};
             UPDATE account SET balance = balance + 1 WHERE id = {to};
             INSERT INTO log VALUES({seq}, zeroblob(1500));
             UPDATE meta SET seq = {seq}, entries = entries + 1;
             {cut} {vacuum}
             COMMIT;"
        ))
    }

    /// All of it.
    pub(super) fn snapshot(&self) -> Transaction {
        let page_size = self.page_size();
        let commit = u32::try_from(self.image.len() / page_size.bytes()).unwrap();
        let journal_mode = mode_of(&self.image);
        Transaction { page_size, commit, pages: self.pages(), journal_mode, snapshot: true }
    }

    /// The database file.
    pub(super) fn image(&self) -> &[u8] {
        &self.image
    }

    fn page_size(&self) -> PageSize {
        let field = u16::from_be_bytes([self.image[16], self.image[17]]);
        PageSize::new(if field == 1 { 65536 } else { field.into() }).unwrap()
    }

    fn pages(&self) -> Vec<(PageNumber, Vec<u8>)> {
        let pages = self.image.chunks(self.page_size().bytes());
        (1..).zip(pages).map(|(page, content)| (PageNumber::new(page).unwrap(), content.to_vec())).collect()
    }
}

impl Transaction {
    /// The end of the database.
    pub(super) fn deletion() -> Self {
        Self {
            page_size: PageSize::MIN,
            commit: 0,
            pages: Vec::new(),
            journal_mode: JournalMode::Rollback,
            snapshot: false,
        }
    }
}
