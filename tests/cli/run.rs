use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::process::{Pid, Signal, kill_process};

use super::{assert_fails, litefs, output, stderr, stdout};

fn wait_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} never appeared", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn exit_code_of_the_program_is_ours() {
    for code in [0, 5, 255] {
        let output = output(["run", "--", "sh", "-c", &format!("exit {code}")]);
        assert_eq!((stderr(&output), output.status.code()), ("", Some(code)));
    }
}

#[test]
fn death_by_signal_is_told_as_a_shell_does() {
    let output = output(["run", "--", "sh", "-c", "kill -KILL $$"]);
    assert_eq!((output.status.code(), output.status.signal()), (Some(128 + 9), None));
}

#[test]
fn single_argument_is_split_and_several_are_not() {
    let split = output(["run", "--", "echo 'a  b' c"]);
    assert_eq!(stdout(&split), "a  b c\n");
    let kept = output(["run", "--", "echo", "'a  b' c"]);
    assert_eq!(stdout(&kept), "'a  b' c\n");
}

#[test]
fn part_of_a_command_that_only_a_shell_would_run_is_warned_of() {
    let output = output(["run", "--", "echo a && echo b"]);
    assert_eq!(stdout(&output), "a\n");
    assert_eq!(
        stderr(&output),
        "WARNING: \"&& echo b\" is ignored, there is no shell; write sh -c '…' if you mean one\n"
    );
}

#[test]
fn standard_input_reaches_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = litefs(directory.path())
        .args(["run", "-v", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((stdout(&output), stderr(&output)), ("through", "executing cat\n"));
}

#[test]
fn program_that_does_not_exist_is_an_error() {
    assert_fails(
        &output(["run", "--", "/nonexistent/program", "x"]),
        1,
        "ERROR: cannot start command `/nonexistent/program x`: No such file or directory (os error 2)",
    );
}

#[test]
fn signals_are_handed_on_and_the_program_has_the_last_word() {
    for (sent, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT")] {
        let directory = tempfile::tempdir().unwrap();
        let script = format!("trap 'exit 9' {name}; touch ready; while :; do sleep 0.01; done");
        let mut child = litefs(directory.path())
            .args(["run", "--", "sh", "-c", &script])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(&directory.path().join("ready"));
        signal(&child, sent);
        assert_eq!(child.wait().unwrap().code(), Some(9), "{name}");
    }
}

#[test]
fn halt_lock_is_held_while_the_program_runs_and_no_longer() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("app.db"), "").unwrap();
    std::fs::write(path("app.db-lock"), "").unwrap();
    let file = OpenOptions::new().write(true).open(path("app.db-lock")).unwrap();
    let lock = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 72,
        l_len: 1,
        l_pid: 0,
    };
    let try_lock = || fcntl(&file, FcntlArg::F_OFD_SETLK(&lock));

    let mut child = litefs(directory.path())
        .args(["run", "-with-halt-lock-on", "app.db", "--"])
        .args(["sh", "-c", "touch ready; while [ ! -e go ]; do sleep 0.01; done"])
        .spawn()
        .unwrap();
    wait_for(&path("ready"));
    assert_eq!(try_lock(), Err(Errno::EAGAIN));
    std::fs::write(path("go"), "").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(try_lock(), Ok(0));
}

#[test]
fn halt_lock_needs_a_database_in_a_mount() {
    let directory = tempfile::tempdir().unwrap();
    let run = || {
        litefs(directory.path())
            .args(["run", "-with-halt-lock-on", "./app.db", "--", "touch", "ran"])
            .output()
            .unwrap()
    };
    assert_fails(&run(), 1, "ERROR: database does not exist: ./app.db");
    std::fs::write(directory.path().join("app.db"), "").unwrap();
    assert_fails(
        &run(),
        1,
        "ERROR: lock file not available, are you sure \".\" is a LiteFS mount?: \
         No such file or directory (os error 2)",
    );
    assert!(!directory.path().join("ran").exists());
}
