//! The commands that talk to a node: what they ask it, and what they do with its answers.

use std::net::TcpListener;
use std::path::Path;

use super::fake_node::FakeNode;
use super::{assert_fails, litefs, output, stderr, stdout};

/// An address of this machine where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// `/info` of a node.
fn info(is_primary: bool, candidate: bool) -> (u16, Vec<u8>) {
    let json = format!(r#"{{"isPrimary": {is_primary}, "candidate": {candidate}, "path": "/data"}}"#);
    (200, json.into_bytes())
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
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
    assert_eq!(names(directory.path()), ["in.db"]);
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
fn export_replaces_the_file_and_removes_what_belonged_to_the_old_one() {
    let content: Vec<u8> = (0..1_000_000_u32).map(|index| (index % 251) as u8).collect();
    let answer = content.clone();
    let node = FakeNode::start(move |_| (200, answer.clone()));
    let directory = tempfile::tempdir().unwrap();
    for name in ["out.db", "out.db-journal", "out.db-wal", "out.db-shm"] {
        std::fs::write(directory.path().join(name), "old").unwrap();
    }
    let output = litefs(directory.path())
        .args(["export", "-url", node.url(), "-name", "a b.db", "out.db"])
        .output()
        .unwrap();
    assert_eq!((stderr(&output), output.status.code()), ("", Some(0)));
    assert!(stdout(&output).starts_with("Export of database \"a b.db\" in "), "{}", stdout(&output));
    assert_eq!(names(directory.path()), ["out.db"]);
    assert_eq!(std::fs::read(directory.path().join("out.db")).unwrap(), content);
    assert_eq!(node.received(), [("GET /export?name=a%20b.db".to_owned(), Vec::new())]);
}

#[test]
fn export_that_fails_leaves_what_was_there() {
    let node = FakeNode::start(|_| (404, b"database not found\n".to_vec()));
    let directory = tempfile::tempdir().unwrap();
    for name in ["out.db", "out.db-wal"] {
        std::fs::write(directory.path().join(name), "old").unwrap();
    }
    let output = litefs(directory.path())
        .args(["export", "-url", node.url(), "-name", "app.db", "out.db"])
        .output()
        .unwrap();
    assert_fails(&output, 1, "ERROR: database not found: app.db");
    assert_eq!(names(directory.path()), ["out.db", "out.db-wal"]);
    assert_eq!(std::fs::read(directory.path().join("out.db")).unwrap(), b"old");
}

#[test]
fn import_sends_the_whole_file() {
    let node = FakeNode::start(|_| (200, Vec::new()));
    let directory = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..1_000_000_u32).map(|index| (index % 241) as u8).collect();
    std::fs::write(directory.path().join("in.db"), &content).unwrap();
    let output = litefs(directory.path())
        .args(["import", "-url", node.url(), "-name", "app.db", "in.db"])
        .output()
        .unwrap();
    assert_eq!((stderr(&output), output.status.code()), ("", Some(0)));
    assert!(stdout(&output).starts_with("Import of database \"app.db\" in "), "{}", stdout(&output));
    assert_eq!(node.received(), [("POST /import?name=app.db".to_owned(), content)]);
}

#[test]
fn import_that_the_node_refuses_fails_with_its_reason() {
    let node = FakeNode::start(|_| (503, b"lease expired\n".to_vec()));
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("in.db"), "x").unwrap();
    let output = litefs(directory.path())
        .args(["import", "-url", node.url(), "-name", "app.db", "in.db"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("lease expired"), "{}", stderr(&output));
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

#[test]
fn status_is_shown_as_a_table_and_as_json() {
    let status = serde_json::json!({
        "nodeID": "00000000000000AB", "clusterID": null, "hostname": "node-a", "dataDir": "/data",
        "role": "primary", "sinceMs": 0, "ready": true, "candidate": true,
        "primaryHostname": "node-a", "primaryUrl": null, "lagMs": 0, "subscribers": ["00000000000000AC"],
        "databases": {"app.db": {
            "txid": "0000000000000002", "checksum": "f07b7dc7701d41ba", "pageSize": 4096, "pages": 2,
            "sizeBytes": 8192, "logFirst": "0000000000000001", "logLast": "0000000000000002",
            "logBytes": 500, "lagMs": 0
        }}
    });
    let answer = status.to_string().into_bytes();
    let node = FakeNode::start(move |_| (200, answer.clone()));

    let json = output(["status", "-url", node.url(), "-json"]);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json.stdout).unwrap(), status);
    let table = output(["status", "-url", node.url()]);
    for words in [["role", "primary"].as_slice(), &["app.db", "0000000000000002", "f07b7dc7701d41ba"]] {
        let shown = stdout(&table).lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(shown, "{words:?} in {}", stdout(&table));
    }
    assert_eq!(node.received(), vec![("GET /status".to_owned(), Vec::new()); 2]);
}

#[test]
fn status_of_a_node_of_litefs_says_what_to_ask_instead() {
    let node = FakeNode::start(|_| (404, b"404 page not found\n".to_vec()));
    assert_fails(
        &output(["status", "-url", node.url()]),
        1,
        "ERROR: the node does not answer /status: it is one of LiteFS, ask it for /info",
    );
}

#[test]
fn program_for_candidates_is_skipped_elsewhere() {
    for flag in ["-if-candidate", "-promote"] {
        let node = FakeNode::start(|_| info(false, false));
        let directory = tempfile::tempdir().unwrap();
        let output = litefs(directory.path())
            .args(["run", "-url", node.url(), flag, "--", "touch", "ran"])
            .output()
            .unwrap();
        assert_eq!(stderr(&output), "node is not a candidate, skipping execution\n");
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(names(directory.path()), Vec::<String>::new());
    }
}

#[test]
fn promote_waits_until_the_node_is_primary() {
    let mut questions = 0;
    let node = FakeNode::start(move |line| {
        if line == "POST /promote" {
            return (200, Vec::new());
        }
        questions += 1;
        info(questions > 3, true)
    });
    let output = output(["run", "-url", node.url(), "-promote", "--", "echo", "primary"]);
    assert_eq!((stdout(&output), stderr(&output), output.status.code()), ("primary\n", "", Some(0)));
    let lines: Vec<_> = node.received().into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, ["GET /info", "POST /promote", "GET /info", "GET /info", "GET /info"]);
}

#[test]
fn promote_that_is_refused_runs_nothing() {
    let node = FakeNode::start(|line| match line {
        "POST /promote" => (500, b"handoff failed: static lease\n".to_vec()),
        _ => info(false, true),
    });
    let output = output(["run", "-url", node.url(), "-promote", "--", "echo", "never"]);
    assert_eq!((stdout(&output), output.status.code()), ("", Some(1)));
    let text = stderr(&output);
    assert!(
        text.starts_with("ERROR: cannot promote the node: ") && text.contains("handoff failed"),
        "{text}"
    );
}
