//! What the commands that talk to a node do when there is none.

use std::net::TcpListener;

use super::{assert_fails, litefs, output, stderr};

/// An address of this machine where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn node_that_does_not_answer_is_named() {
    let url = nobody();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("in.db"), "x").unwrap();
    for arguments in [
        ["status", "-url", &url, "-json"].as_slice(),
        &["export", "-url", &url, "-name", "app.db", "out.db"],
        &["import", "-url", &url, "-name", "app.db", "in.db"],
        &["run", "-url", &url, "-if-candidate", "--", "touch", "ran"],
    ] {
        let output = litefs(directory.path()).args(arguments).output().unwrap();
        let text = stderr(&output);
        assert!(text.starts_with("ERROR: ") && text.contains("cannot connect to 127.0.0.1:"), "{text}");
        assert_eq!(output.status.code(), Some(1));
    }
    assert!(!directory.path().join("ran").exists());
}

#[test]
fn export_that_fails_leaves_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["out.db", "out.db-wal"] {
        std::fs::write(directory.path().join(name), "old").unwrap();
    }
    let output = litefs(directory.path())
        .args(["export", "-url", &nobody(), "-name", "app.db", "out.db"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let mut names: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["out.db", "out.db-wal"]);
    assert_eq!(std::fs::read(directory.path().join("out.db")).unwrap(), b"old");
}

#[test]
fn url_that_nodes_do_not_speak_is_refused() {
    assert_fails(
        &output(["status", "-url", "https://localhost:20202"]),
        1,
        "ERROR: cannot use --url: invalid URL scheme in \"https://localhost:20202\": \
         nodes speak http, without TLS; write http://host:port",
    );
}

#[test]
fn file_to_import_must_be_a_file() {
    assert_fails(
        &output(["import", "-name", "app.db", "none.db"]),
        1,
        "ERROR: cannot open none.db: No such file or directory (os error 2)",
    );
    assert_fails(&output(["import", "-name", "app.db", "."]), 1, "ERROR: cannot import .: it is a directory");
}
