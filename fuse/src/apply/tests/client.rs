use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

/// One SQLite connection in a process of its own.
pub(super) struct Client {
    process: Child,
    /// Until the client is to end.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// Tells this test program that it is to be a client, of this database.
const DATABASE: &str = "LITEFS_TEST_CLIENT_DATABASE";
/// What a request begins with that is not SQL: read and check until the given sequence number is seen.
const WATCH: &str = "watch ";
/// What the test harness prints is not ours.
const ANSWER: &str = "> ";

impl Client {
    pub(super) fn open(database: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "apply::tests::client::serve"])
            .env(DATABASE, database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, requests, answers }
    }

    /// Runs statements. Returns the first value of the first row of the last one, or SQLite's message.
    pub(super) fn run(&mut self, sql: &str) -> Result<String, String> {
        self.start(sql);
        self.finish()
    }

    /// Runs statements that must succeed.
    pub(super) fn get(&mut self, sql: &str) -> String {
        self.run(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Reads and checks over and over until the sequence number `seq` is seen. [`Client::finish`] waits for it, and
    /// returns how many states were seen, or the first thing that was wrong.
    pub(super) fn watch(&mut self, seq: u64) {
        self.start(&format!("{WATCH}{seq}"));
    }

    pub(super) fn start(&mut self, request: &str) {
        writeln!(self.requests.as_mut().unwrap(), "{}", request.replace('\n', " ")).unwrap();
    }

    pub(super) fn finish(&mut self) -> Result<String, String> {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the client died");
            // The harness leaves its own words on the line.
            let Some((_, answer)) = line.trim_end_matches('\n').split_once(ANSWER) else { continue };
            return match answer.split_once(' ') {
                Some(("ok", value)) => Ok(value.to_owned()),
                _ => Err(answer.to_owned()),
            };
        }
    }

    /// Kills it, so that it leaves everything as it is.
    pub(super) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Client {
    /// Ends its input, so that it closes the connection as a program does that ends in order, and waits for that.
    fn drop(&mut self) {
        self.requests = None;
        if std::thread::panicking() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// What a client process runs; nothing in the test program itself.
#[test]
fn serve() {
    let Some(database) = std::env::var_os(DATABASE) else { return };
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    // What a program meets at once, and not after having waited for it to go away.
    connection.busy_timeout(Duration::ZERO).unwrap();
    for request in std::io::stdin().lines() {
        let request = request.unwrap();
        let answer = match request.strip_prefix(WATCH) {
            Some(seq) => watch(&connection, seq.parse().unwrap()),
            None => run(&connection, &request).map_err(|error| error.to_string()),
        };
        match answer {
            Ok(value) => println!("\n{ANSWER}ok {value}"),
            Err(error) => println!("\n{ANSWER}error {error}"),
        }
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<String> {
    let mut batch = rusqlite::Batch::new(connection, sql);
    let mut last = String::new();
    while let Some(mut statement) = batch.next()? {
        let mut rows = statement.query([])?;
        if let Some(row) = rows.next()? {
            last = match row.get(0)? {
                Value::Null => "null".to_owned(),
                Value::Integer(value) => value.to_string(),
                Value::Real(value) => value.to_string(),
                Value::Text(value) => value,
                Value::Blob(value) => format!("{} bytes", value.len()),
            };
        }
        while rows.next()?.is_some() {}
    }
    Ok(last)
}

/// In each transaction: balances add up, the log is what its summary says, nothing goes back. Now and then it is held
/// open and read again, which must give the same.
fn watch(connection: &Connection, last: i64) -> Result<String, String> {
    let started = Instant::now();
    let (mut seen, mut states, mut rounds) = (0, 0u64, 0u64);
    while seen < last {
        if started.elapsed() > Duration::from_secs(60) {
            return Err(format!("saw only {seen} of {last}"));
        }
        rounds += 1;
        let round = (|| -> rusqlite::Result<i64> {
            connection.execute_batch("BEGIN")?;
            let seq = check(connection)?;
            if rounds.is_multiple_of(20) {
                std::thread::sleep(Duration::from_millis(rounds % 40));
                assert_eq!(check(connection)?, seq, "the snapshot changed");
                let integrity: String =
                    connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
                assert_eq!(integrity, "ok");
            }
            connection.execute_batch("COMMIT")?;
            Ok(seq)
        })();
        let seq = round.map_err(|error| format!("after {seen}: {error}"))?;
        if seq < seen {
            return Err(format!("{seq} seen after {seen}"));
        }
        states += u64::from(seq > seen);
        seen = seq;
    }
    Ok(states.to_string())
}

fn check(connection: &Connection) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare_cached(
        "SELECT (SELECT sum(balance) FROM account), (SELECT count(*) FROM log), meta.entries,
                (SELECT coalesce(max(seq), 0) FROM log), meta.seq FROM meta",
    )?;
    let row: [i64; 5] = statement
        .query_row([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?]))?;
    assert_eq!(row[0], 2000, "the balances do not add up: {row:?}");
    assert_eq!(row[1], row[2], "the log is not what its summary says: {row:?}");
    assert_eq!(row[3], row[4], "the log does not end where its summary says: {row:?}");
    Ok(row[4])
}
