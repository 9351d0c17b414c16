//! A daemon that is killed while it waits for itself.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::fixture::{Fixture, wait_until};

/// Tells this test program that it is to be the daemon.
const IS_DAEMON: &str = "LITEFS_TEST_STUCK_DAEMON";

/// Not a test of its own: the daemon of the one below. Writes to its own mount, does not answer, and says where it is.
#[test]
fn daemon_that_waits_for_itself() {
    if std::env::var_os(IS_DAEMON).is_none() {
        return;
    }
    let fixture = Fixture::new();
    let database = fixture.connect("app.db");
    database.execute_batch("create table t(x)").unwrap();
    let served = fixture.databases.get("app.db");
    let _unanswered = served.fail_writes.lock().unwrap();
    let path = fixture.path("app.db");
    let before = fixture.requests("Write");
    std::thread::spawn(move || fs::File::options().write(true).open(path).unwrap().write_at(b"S", 0));
    wait_until("the write", || fixture.requests("Write") > before);
    println!("\nmount {}", fixture.mount.path().display());
    std::io::stdout().flush().unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

/// Whatever happens, no process and no mount is left.
struct Stuck {
    daemon: Child,
    mount: PathBuf,
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = Command::new("umount").args(["-f", "-l"]).arg(&self.mount).status();
        let _ = self.daemon.wait();
    }
}

#[test]
fn killed_daemon_that_waits_for_itself_ends_and_programs_get_an_error() {
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "killed::daemon_that_waits_for_itself"])
        .env(IS_DAEMON, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    let mount = lines.find_map(|line| line.unwrap().strip_prefix("mount ").map(PathBuf::from)).unwrap();
    let mut stuck = Stuck { daemon, mount };
    stuck.daemon.kill().unwrap();
    wait_until("the end of the daemon", || stuck.daemon.try_wait().unwrap().is_some());
    // It is still a mount: in the directory below it, programs would make databases that nobody replicates.
    let error = fs::read_dir(&stuck.mount).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NOTCONN.raw_os_error()), "{error}");
}
