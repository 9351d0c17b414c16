use super::{Moments, rounds};
use crate::support::{
    Cluster, JOURNAL_MODES, Writer, assert_replicated, assert_written, open, query, run, set_mode,
};

#[test]
fn programs_killed_in_the_middle_lose_nothing_that_was_committed() {
    for mode in JOURNAL_MODES {
        let mut moments = Moments::new(mode);
        let cluster = Cluster::start(2);
        let connection = open(cluster.primary(), "app.db");
        set_mode(&connection, mode);
        Writer::prepare(&connection);
        drop(connection);
        let mut next = 0;
        for _ in 0..rounds() * 3 {
            let writer = Writer::start(&cluster.primary().path("app.db"), "NORMAL", next, 0);
            writer.await_number(next);
            moments.pass();
            let (last, error) = writer.kill();
            assert_eq!(error, None);
            // Who comes next rolls back what was left, or finds it committed: on both nodes the same.
            next = assert_written(&cluster.primary().path("app.db"), last);
            assert_replicated(cluster.primary(), cluster.replica(), "app.db");
            assert_eq!(assert_written(&cluster.replica().path("app.db"), last), next);
        }
    }
}

#[test]
fn program_killed_with_pages_already_in_the_file_is_rolled_back() {
    for mode in JOURNAL_MODES {
        let cluster = Cluster::start(2);
        let connection = open(cluster.primary(), "app.db");
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES ('kept')");
        drop(connection);
        let position = cluster.primary().position("app.db");
        let mut program = std::process::Command::new("python3");
        program
            .args(["-c", SPILLS])
            .arg(cluster.primary().path("app.db"))
            .stdout(std::process::Stdio::piped());
        let mut program = program.spawn().unwrap();
        let mut line = [0; 8];
        std::io::Read::read_exact(program.stdout.as_mut().unwrap(), &mut line).unwrap();
        assert_eq!(&line, b"spilled\n");
        program.kill().unwrap();
        program.wait().unwrap();
        let connection = open(cluster.primary(), "app.db");
        assert_eq!(query::<String>(&connection, "SELECT x FROM t"), "kept", "in mode {mode}");
        assert_eq!(query::<u32>(&connection, "SELECT count(*) FROM t"), 1);
        assert_eq!(
            cluster.primary().position("app.db"),
            position,
            "a rollback is no transaction, in mode {mode}"
        );
        run(&connection, "INSERT INTO t VALUES ('after')");
        assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    }
}

/// Leaves a transaction open that does not fit into SQLite's cache.
const SPILLS: &str = "
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute('PRAGMA cache_size=10')
connection.execute('BEGIN')
connection.execute('INSERT INTO t VALUES (zeroblob(1000000))')
connection.execute('UPDATE t SET x = randomblob(500000)')
print('spilled', flush=True)
time.sleep(600)
";
