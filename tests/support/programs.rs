use std::path::Path;
use std::process::{Command, Output};

/// What Debian's `sqlite3` prints for this, without the last line feed.
///
/// # Panics
/// It fails, or complains.
#[track_caller]
pub(crate) fn sqlite3_prints(database: &Path, sql: &str) -> String {
    let output = sqlite3(database, sql);
    let (stdout, stderr) = texts(&output);
    assert!(output.status.success() && stderr.is_empty(), "sqlite3 ended with {}: {stderr}", output.status);
    stdout.trim_end().to_owned()
}

/// The error that Debian's `sqlite3` reports for this.
///
/// # Panics
/// It succeeds.
#[track_caller]
pub(crate) fn sqlite3_fails(database: &Path, sql: &str) -> String {
    let output = sqlite3(database, sql);
    let (stdout, stderr) = texts(&output);
    assert!(!output.status.success(), "sqlite3 succeeded: {stdout}");
    stderr.trim_end().to_owned()
}

fn sqlite3(database: &Path, sql: &str) -> Output {
    let mut command = Command::new("sqlite3");
    command.args(["-batch", "-bail", "-cmd", ".timeout 20000"]).arg(database).arg(sql).output().unwrap()
}

/// What a Python program prints, without the last line feed. Its arguments are in `sys.argv[1:]`.
///
/// # Panics
/// It fails.
#[track_caller]
pub(crate) fn python(program: &str, arguments: &[&Path]) -> String {
    let output = Command::new("python3").args(["-c", program]).args(arguments).output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert!(output.status.success(), "python3 ended with {}: {stderr}", output.status);
    stdout.trim_end().to_owned()
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
