use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    Cluster, JOURNAL_MODES, Options, Writer, assert_written, open, query, run, set_mode, sqlite3_prints,
    wait_until,
};

#[test]
fn mount_without_a_configuration_is_a_working_primary() {
    let directory = tempfile::tempdir().unwrap();
    let (data, mount) = (directory.path().join("data"), directory.path().join("mount"));
    let mut command = without_configuration(&data, &mount);
    // The program runs beside the node and ends it.
    let script = "sqlite3 \"$0\"/app.db 'CREATE TABLE t (x); INSERT INTO t VALUES (1); SELECT count(*) FROM t'; exit 7";
    command.args(["--", "sh", "-c", script]).arg(&mount);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).lines().any(|line| line == "1"), "{stderr}");
    assert!(data.join("dbs/app.db/database").exists());
    assert_eq!(fs::read_dir(&mount).unwrap().count(), 0, "the mount is still there");
}

#[test]
fn databases_survive_stops_and_kills() {
    let mut cluster = Cluster::start(1);
    for mode in JOURNAL_MODES {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        Writer::prepare(&connection);
    }
    let mut next = [0; 4];
    for round in 0..4 {
        for (mode, next) in JOURNAL_MODES.iter().zip(&mut next) {
            let path = cluster.primary().path(mode);
            let ended = Writer::start(&path, "NORMAL", *next, 10).await_end();
            *next += 10;
            assert_eq!(ended, (Some(*next - 1), None));
        }
        let positions = JOURNAL_MODES.map(|mode| cluster.primary().position(mode));
        if round % 2 == 0 {
            cluster.nodes[0].stop()
        } else {
            cluster.nodes[0].kill()
        }
        cluster.nodes[0].start();
        assert_eq!(JOURNAL_MODES.map(|mode| cluster.primary().position(mode)), positions);
        for (mode, next) in JOURNAL_MODES.iter().zip(next) {
            assert_eq!(assert_written(&cluster.primary().path(mode), Some(next - 1)), next);
        }
    }
}

#[test]
fn node_is_stopped_while_a_program_has_a_database_open() {
    let mut cluster = Cluster::start(1);
    for mode in ["delete", "wal"] {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
        cluster.nodes[0].stop();
        // Whatever it does now, it commits nothing that nobody keeps.
        let outcome = connection.execute_batch("INSERT INTO t VALUES (2)");
        assert!(outcome.is_err(), "in mode {mode}");
        drop(connection);
        cluster.nodes[0].start();
        assert_eq!(query::<u32>(&open(cluster.primary(), mode), "SELECT count(*) FROM t"), 1);
    }
}

#[test]
fn data_directory_holds_a_plain_sqlite_file_after_a_stop() {
    let mut cluster = Cluster::start(1);
    for mode in JOURNAL_MODES {
        let connection = open(cluster.primary(), mode);
        set_mode(&connection, mode);
        run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))");
    }
    cluster.nodes[0].stop();
    for mode in JOURNAL_MODES {
        let copy = cluster.directory().join("copy.db");
        fs::copy(cluster.primary().data().join("dbs").join(mode).join("database"), &copy).unwrap();
        assert_eq!(sqlite3_prints(&copy, "PRAGMA integrity_check; SELECT length(x) FROM t"), "ok\n100000");
        fs::remove_file(copy).unwrap();
    }
}

#[test]
fn b15_signal_before_readiness_ends_the_node_and_its_mount() {
    // A replica whose primary does not exist is never ready.
    let mut cluster = Cluster::prepare(2, Options::default());
    cluster.nodes[1].launch();
    cluster.nodes[1].await_log("waiting to connect to cluster");
    cluster.nodes[1].stop();
    assert_eq!(fs::read_dir(cluster.replica().mount()).unwrap().count(), 0);
}

#[test]
fn remains_of_a_killed_node_are_cleared_at_its_next_start() {
    let mut cluster = Cluster::start(1);
    sqlite3_prints(&cluster.primary().path("app.db"), "CREATE TABLE t (x)");
    for _ in 0..3 {
        cluster.nodes[0].kill();
        let error = fs::read_dir(cluster.primary().mount()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NOTCONN.raw_os_error()));
        cluster.nodes[0].start();
        assert_eq!(sqlite3_prints(&cluster.primary().path("app.db"), "SELECT count(*) FROM t"), "0");
    }
    cluster.nodes[0].stop();
    assert!(!crate::support::is_mounted(&cluster.primary().mount()));
}

#[test]
fn b16_signal_reaches_the_program_beside_the_node_whose_exit_code_counts() {
    let directory = tempfile::tempdir().unwrap();
    let (data, mount) = (directory.path().join("data"), directory.path().join("mount"));
    let ready = directory.path().join("ready");
    let mut command = without_configuration(&data, &mount);
    command
        .arg("--")
        .arg("sh")
        .arg("-c")
        .arg("trap 'echo bye; exit 3' TERM; touch \"$0\"; while :; do sleep 0.05; done")
        .arg(&ready);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the program beside the node", || ready.exists());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).lines().any(|line| line == "bye"));
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(fs::read_dir(&mount).unwrap().count(), 0, "the mount is still there");
}

/// A node that is told nothing but its directories. It listens on the default port, so it gets a network of its own.
fn without_configuration(data: &Path, mount: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--net", env!("CARGO_BIN_EXE_litefs"), "mount", "--dir"])
        .arg(data)
        .arg(mount)
        .stdin(Stdio::null());
    command
}
