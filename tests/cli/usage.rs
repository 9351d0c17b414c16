use super::{assert_fails, output, stderr};

/// Asserts a usage error: exit code 2, and this as the first line.
#[track_caller]
fn misused(arguments: &[&str], first_line: &str) {
    let output = output(arguments);
    assert_eq!(stderr(&output).lines().next(), Some(first_line), "{arguments:?}");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
}

#[test]
fn unknown_command_is_refused() {
    misused(&["mout"], "ERROR: unrecognized subcommand 'mout'");
}

#[test]
fn unknown_flag_is_refused() {
    misused(&["mount", "--confg", "x"], "ERROR: unexpected argument '--confg' found");
    misused(&["export", "-name", "a", "--json", "x"], "ERROR: unexpected argument '--json' found");
}

#[test]
fn flag_without_its_value_is_refused() {
    misused(&["mount", "-config"], "ERROR: a value is required for '--config <PATH>' but none was supplied");
}

#[test]
fn switch_with_something_else_than_a_boolean_is_refused() {
    misused(
        &["mount", "-debug=maybe"],
        "ERROR: invalid boolean value \"maybe\" for --debug: expected true or false",
    );
}

#[test]
fn stray_arguments_are_refused() {
    let message = "ERROR: too many arguments, specify a '--' to specify an exec command";
    assert_fails(&output(["mount", "a", "b"]), 2, message);
    assert_fails(&output(["run", "ls"]), 2, message);
}

#[test]
fn run_needs_a_command() {
    let message = "ERROR: no command, specify one behind a '--'";
    assert_fails(&output(["run"]), 2, message);
    assert_fails(&output(["run", "--"]), 2, message);
    assert_fails(
        &output(["run", "--", " "]),
        2,
        "ERROR: cannot parse exec command: the command is empty: name a program, or remove the entry",
    );
}

#[test]
fn run_cannot_promote_and_halt() {
    assert_fails(
        &output(["run", "-promote", "-with-halt-lock-on", "a", "--", "true"]),
        2,
        "ERROR: cannot specify both -promote & -with-halt-lock-on",
    );
}

#[test]
fn database_name_that_cannot_be_a_file_name_is_refused() {
    let long = "x".repeat(300);
    for (name, reason) in [
        ("a/b", "invalid database name: byte 0x2f at index 1 cannot be in a file name"),
        ("..", "invalid database name: \".\" and \"..\" are directories"),
        (&long, "invalid database name: 300 bytes, at most 255 fit"),
    ] {
        let line = format!("ERROR: invalid value '{name}' for '--name <NAME>': {reason}");
        misused(&["export", "-name", name, "out.db"], &line);
        misused(&["import", "-name", name, "in.db"], &line);
    }
}
