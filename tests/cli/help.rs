use super::{output, stderr, stdout};

#[track_caller]
fn help(arguments: &[&str]) -> String {
    let output = output(arguments);
    assert_eq!((stderr(&output), output.status.code()), ("", Some(0)));
    stdout(&output).to_owned()
}

#[test]
fn help_of_the_program() {
    insta::assert_snapshot!(help(&["--help"]));
}

#[test]
fn help_of_mount() {
    insta::assert_snapshot!(help(&["mount", "--help"]));
}

#[test]
fn help_of_run() {
    insta::assert_snapshot!(help(&["run", "--help"]));
}

#[test]
fn help_of_import() {
    insta::assert_snapshot!(help(&["import", "--help"]));
}

#[test]
fn help_of_export() {
    insta::assert_snapshot!(help(&["export", "--help"]));
}

#[test]
fn help_of_status() {
    insta::assert_snapshot!(help(&["status", "--help"]));
}

#[test]
fn help_of_verify() {
    insta::assert_snapshot!(help(&["verify", "--help"]));
}

#[test]
fn help_can_be_asked_for_in_every_way() {
    let expected = help(&["mount", "--help"]);
    assert_eq!(help(&["mount", "-help"]), expected);
    assert_eq!(help(&["help", "mount"]), expected);
}

#[test]
fn no_command_shows_the_help_and_fails() {
    let output = output::<&str>([]);
    assert_eq!((stdout(&output), stderr(&output)), (help(&["-h"]).as_str(), ""));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn version_is_one_line() {
    let version = concat!("LiteFS v", env!("CARGO_PKG_VERSION"));
    let printed = help(&["version"]);
    assert!(printed.trim_end().starts_with(version), "{printed}");
    assert_eq!(printed.lines().count(), 1);
}
