use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::{PATIENCE, query, run, wait_until};

/// A process that writes numbered transactions to a database and says which are committed.
#[derive(Debug)]
pub(crate) struct Writer {
    process: Child,
    said: Arc<Mutex<Said>>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Said {
    last: Option<i64>,
    error: Option<String>,
}

impl Writer {
    /// Makes the tables that writers write to.
    #[track_caller]
    pub(crate) fn prepare(connection: &Connection) {
        run(
            connection,
            "BEGIN; CREATE TABLE written (number INTEGER PRIMARY KEY, text); CREATE TABLE total (sum, touched);
             INSERT INTO total VALUES (0, NULL); COMMIT",
        );
    }

    /// Starts a process that writes one transaction after the other, from number `first` on. `count` is their number, or
    /// 0 for no end.
    pub(crate) fn start(database: &Path, synchronous: &str, first: i64, count: i64) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", include_str!("writer.py")]).arg(database).arg(synchronous);
        command.args([first.to_string(), count.to_string()]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let said = Arc::new(Mutex::new(Said::default()));
        let heard = Arc::clone(&said);
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut heard = heard.lock().unwrap();
                match line.strip_prefix("error ") {
                    Some(error) => heard.error = Some(error.to_owned()),
                    None => heard.last = Some(line.parse().unwrap()),
                }
            }
        });
        Self { process, said, reader: Some(reader) }
    }

    /// The last transaction that is committed for certain.
    pub(crate) fn last(&self) -> Option<i64> {
        self.said.lock().unwrap().last
    }

    /// Waits until the transaction of this number is committed.
    #[track_caller]
    pub(crate) fn await_number(&self, number: i64) {
        wait_until(&format!("transaction {number} of a writer"), || {
            let said = self.said.lock().unwrap();
            assert_eq!(said.error, None, "the writer has failed");
            said.last.is_some_and(|last| last >= number)
        });
    }

    /// Waits until the process has ended by itself. Returns the last committed transaction, and the error it met.
    #[track_caller]
    pub(crate) fn await_end(mut self) -> (Option<i64>, Option<String>) {
        wait_until("the end of a writer", || self.process.try_wait().unwrap().is_some());
        self.finish()
    }

    /// Ends the process at once. Returns the last committed transaction, and the error it met before.
    pub(crate) fn kill(mut self) -> (Option<i64>, Option<String>) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.finish()
    }

    fn finish(&mut self) -> (Option<i64>, Option<String>) {
        self.reader.take().unwrap().join().unwrap();
        let said = self.said.lock().unwrap();
        (said.last, said.error.clone())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // It has mostly ended before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asserts that a database has all transactions of writers up to `last`, each complete, and at most one beyond it.
/// Returns the number of the next.
#[track_caller]
pub(crate) fn assert_written(database: &Path, last: Option<i64>) -> i64 {
    let connection = Connection::open(database).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    let count: i64 = query(&connection, "SELECT count(*) FROM written");
    let wanted = last.map_or(0, |last| last + 1);
    assert!(
        count == wanted || count == wanted + 1,
        "{wanted} transactions were acknowledged, {count} are there, the last {:?}",
        query::<Option<i64>>(&connection, "SELECT max(number) FROM written")
    );
    let mut statement = connection.prepare("SELECT number, text FROM written ORDER BY number").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).unwrap();
    for (expected, row) in (0..).zip(rows) {
        let (number, text) = row.unwrap();
        assert_eq!(number, expected, "a transaction is missing");
        let times = usize::try_from(20 + number * 7919 % 600).unwrap();
        assert_eq!(text, format!("{number}:").repeat(times), "transaction {number} is not what was written");
    }
    assert_eq!(query::<i64>(&connection, "SELECT sum FROM total"), count * (count - 1) / 2);
    count
}
