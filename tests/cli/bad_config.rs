use std::path::Path;

use super::{assert_fails, litefs, stderr, stdout};

/// Asserts that `mount` refuses a file with this text: exit code 2, and this behind the file's name.
#[track_caller]
fn refused(text: &str, message: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bad.yml");
    std::fs::write(&path, text).unwrap();
    let output = litefs(directory.path()).args(["mount", "-config"]).arg(&path).output().unwrap();
    assert_fails(&output, 2, &format!("ERROR: {}", message.replace("FILE", path.to_str().unwrap())));
}

#[test]
fn unknown_key_is_refused_with_line_and_key() {
    refused(
        "data:\n  dir: /data\n  retenton: 1h\n",
        "config file FILE, line 3, column 3: unknown key \"data.retenton\": did you mean \"retention\"?",
    );
    refused(
        "leas:\n  type: static\n",
        "config file FILE, line 1, column 1: unknown key \"leas\": did you mean \"lease\"?",
    );
}

#[test]
fn duplicate_key_is_refused_with_line_and_key() {
    refused(
        "fuse:\n  dir: /a\n  dir: /b\n",
        "config file FILE, line 3, column 3: duplicate key \"fuse.dir\": keep one of them",
    );
}

#[test]
fn value_of_a_wrong_type_is_refused_with_line_and_key() {
    refused(
        "data:\n  retention: 10\n",
        "config file FILE, line 2, column 14: data.retention: invalid duration \"10\": missing unit, \
         write for example \"10s\" for ten seconds",
    );
    refused(
        "fuse:\n  allow-other: maybe\n",
        "config file FILE, line 2, column 16: fuse.allow-other: expected true or false",
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    refused(
        "fuse:\n  dir: /a\ndata:\n  dir: /a\n",
        "fuse directory and data directory cannot be the same path: both are /a; keep the data outside of the mount",
    );
    refused(
        "lease:\n  type: raft\n",
        "invalid lease type, must be either 'consul' or 'static', got: 'raft'; \
         set lease.type, for example to static for a primary that never moves",
    );
}

#[test]
fn setting_that_cannot_be_honoured_is_refused_by_its_key() {
    refused(
        "lease:\n  type: consul\n",
        "lease.type is set to \"consul\", but a lease kept by Consul is not supported yet: \
         set it to static, with candidate: true on the one node that is to be primary",
    );
}

#[test]
fn empty_command_is_refused_before_anything_is_mounted() {
    refused(
        "exec: ''\nlease:\n  type: static\n",
        "cannot parse exec command[0]: the command is empty: name a program, or remove the entry",
    );
}

#[test]
fn empty_file_is_refused() {
    refused("", "EOF: config file FILE is empty");
}

#[test]
fn missing_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let output = litefs(directory.path()).args(["mount", "-config=none.yml"]).output().unwrap();
    assert_fails(
        &output,
        2,
        "ERROR: cannot read config file none.yml: No such file or directory (os error 2)",
    );
}

#[test]
fn without_a_file_the_places_searched_are_named() {
    if Path::new("/etc/litefs.yml").exists() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = litefs(directory.path()).arg("mount").output().unwrap();
    let line = format!(
        "ERROR: config file not found: none of litefs.yml, {}, /etc/litefs.yml exists; name one with -config PATH, \
         or start a single primary without one: litefs mount --dir DATA MOUNTPOINT",
        directory.path().join("litefs.yml").display()
    );
    assert_fails(&output, 2, &line);
}

#[test]
fn file_is_searched_in_the_working_directory_first() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("litefs.yml"), "lease:\n  type: none\n").unwrap();
    let output = litefs(directory.path()).arg("mount").output().unwrap();
    assert!(stderr(&output).starts_with("ERROR: invalid lease type"), "{}", stderr(&output));
}

#[test]
fn variables_of_the_environment_are_expanded_unless_told_not_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("litefs.yml");
    std::fs::write(&path, "lease:\n  type: ${KIND}\n").unwrap();
    let found = |arguments: &[&str]| {
        let output = litefs(directory.path()).env("KIND", "raft").args(arguments).output().unwrap();
        let text = stderr(&output);
        let (_, rest) = text.split_once("got: '").unwrap_or_else(|| panic!("{text} {}", stdout(&output)));
        rest.split_once('\'').unwrap().0.to_owned()
    };
    assert_eq!(found(&["mount"]), "raft");
    assert_eq!(found(&["mount", "-no-expand-env"]), "${KIND}");
}
