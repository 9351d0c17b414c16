//! Single requests.

use std::io::Cursor;
use std::time::Duration;

use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use litefs_net::{ClientError, Event, Limits, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fake_host::{FakeHost, PAGE, name};
use crate::node::{Node, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn info_is_that_of_litefs() {
    let host = FakeHost::primary();
    let node = Node::start(&host).await;
    let reply = node.request(Request::get("/info").body(Full::default()).unwrap()).await;
    assert_eq!(reply.headers()["litefs-id"], "000000000000000A");
    assert_eq!(reply.headers()["litefs-cluster-id"], "LFSC0000000000000001");
    let text = reply.into_body().collect().await.unwrap().to_bytes();
    let expected = r#"{
  "clusterID": "LFSC0000000000000001",
  "isPrimary": true,
  "candidate": true,
  "path": "/data",
  "primary": {
    "hostname": "nodea"
  }
}
"#;
    assert_eq!(text, expected);
    let info = node.client().info().await.unwrap();
    assert!(info.is_primary);
    assert_eq!(info.primary.hostname, "nodea");
}

#[tokio::test(flavor = "multi_thread")]
async fn node_without_cluster_or_primary_says_so_by_silence() {
    let node = Node::start(&FakeHost::replica()).await;
    let reply = node.request(Request::get("/info").body(Full::default()).unwrap()).await;
    assert!(!reply.headers().contains_key("litefs-cluster-id"));
    let info = node.client().info().await.unwrap();
    assert_eq!((info.cluster_id.as_str(), info.primary.hostname.as_str()), ("", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_answered_get_the_errors_of_litefs() {
    let host = FakeHost::primary();
    host.commit("db", &[(1, 1)]);
    let node = Node::start(&host).await;
    let long = format!("/import?name={}", "x".repeat(300));
    let rows = [
        (Method::GET, "/", 404, "404 page not found\n"),
        (Method::GET, "/debug/pprof/", 404, "404 page not found\n"),
        (Method::POST, "/info", 405, "method not allowed\n"),
        (Method::GET, "/stream", 405, "method not allowed\n"),
        (Method::GET, "/halt", 405, "method not allowed\n"),
        (Method::POST, "/import", 400, "name required\n"),
        (Method::POST, "/import?name=", 400, "name required\n"),
        (
            Method::POST,
            "/import?name=..%2Fx",
            400,
            "invalid database name: byte 0x2f at index 2 cannot be in a file name\n",
        ),
        (Method::POST, "/import?name=..", 400, "invalid database name: \".\" and \"..\" are directories\n"),
        (Method::POST, &long, 400, "invalid database name: 300 bytes, at most 255 fit\n"),
        (Method::POST, "/import?name=%zz", 400, "invalid query: \"%zz\" is not url encoded\n"),
        (Method::POST, "/import?name=new", 500, "read database header: invalid database header\n"),
        (Method::GET, "/export", 400, "name required\n"),
        (Method::GET, "/export?name=missing", 404, "database not found\n"),
        (Method::POST, "/halt?name=db&id=x", 400, "invalid id: \"x\"\n"),
        (Method::POST, "/halt?name=&id=1", 400, "name required\n"),
        (Method::POST, "/halt?name=db&id=1", 501, "acquire halt lock: this node does not grant halt locks\n"),
        (Method::DELETE, "/halt?name=db&id=1", 200, ""),
        (Method::POST, "/tx?name=missing&lockID=1", 404, "database not found: \"missing\"\n"),
        (Method::POST, "/tx?name=db&lockID=1", 409, "write ltx file: halt lock \"1\" is not held\n"),
        (Method::POST, "/promote", 200, ""),
        (Method::POST, "/handoff?nodeID=zz", 400, "invalid node id\n"),
        (Method::POST, "/handoff", 400, "invalid node id\n"),
        (
            Method::POST,
            "/handoff?nodeID=000000000000000B",
            500,
            "cannot handoff: target node is not currently connected\n",
        ),
        (Method::POST, "/stream", 400, "unexpected EOF: the position map is cut off\n"),
    ];
    for (method, path, status, body) in rows {
        let reply = node.ask(method.clone(), path).await;
        assert_eq!((reply.0, reply.1.as_str()), (status, body), "{method} {path}");
    }
    assert_eq!(host.position("new").txid.get(), 0, "a refused import leaves nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn node_refuses_to_lock_or_write_for_itself() {
    let host = FakeHost::primary();
    host.commit("db", &[(1, 1)]);
    let node = Node::start(&host).await;
    let rows = [
        (Method::POST, "/halt?name=db&id=1", "cannot remotely halt self\n"),
        (Method::DELETE, "/halt?name=db&id=1", "cannot remotely unhalt self\n"),
        (Method::POST, "/tx?name=db&lockID=1", "cannot remotely halt self\n"),
        (Method::POST, "/stream", "cannot connect to self\n"),
    ];
    for (method, path, body) in rows {
        let request = Request::builder().method(method).uri(path).header("Litefs-Id", "a");
        let reply = node.request(request.body(Full::default()).unwrap()).await;
        assert_eq!(reply.status(), 400, "{path}");
        assert_eq!(reply.into_body().collect().await.unwrap().to_bytes(), body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn node_that_is_not_primary_refuses_what_only_a_primary_can_do() {
    let node = Node::start(&FakeHost::replica()).await;
    let rows = [
        ("/stream", 503, "lease expired\n"),
        ("/import?name=db", 503, "lease expired\n"),
        ("/promote", 409, "not eligible to become primary\n"),
        ("/handoff?nodeID=1", 500, "cannot handoff: node is not currently primary\n"),
    ];
    for (path, status, body) in rows {
        let reply = node.ask(Method::POST, path).await;
        assert_eq!((reply.0, reply.1.as_str()), (status, body), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_and_2_are_answered_on_one_port() {
    let node = Node::start(&FakeHost::primary()).await;
    let reply = node.talk(b"GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert!(reply.contains("\r\nlitefs-id: 000000000000000A\r\n"), "{reply}");
    let reply = node
        .talk(b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .await;
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{reply}");
    assert!(reply.ends_with("\r\n\r\nUpgrade to HTTP/2 required\n"), "{reply}");
    assert_eq!(node.ask(Method::GET, "/info").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_speaks_no_http_is_dropped_and_the_next_is_answered() {
    let limits = Limits { header_timeout: Duration::from_millis(200), ..Limits::default() };
    let node = Node::start_with(&FakeHost::primary(), "127.0.0.1:0", limits).await;
    let mut header = b"GET /info HTTP/1.1\r\nX: ".to_vec();
    header.resize(200 << 10, b'x');
    let nonsense: [&[u8]; 6] = [
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"PRI * HT",
        b"",
        b"GET /info HTTP/1.1\r\n",
        &header,
    ];
    for bytes in nonsense {
        // All that counts is that the connection ends, however the peer is told.
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let mut reply = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut reply)).await.expect("the connection is closed");
        assert!(!reply.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(node.ask(Method::GET, "/info").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn database_is_imported_and_exported_as_it_is() {
    let host = FakeHost::primary();
    let node = Node::start(&host).await;
    let mut file = b"SQLite format 3\0".to_vec();
    file.extend((0..2_000_000u32).map(|index| (index * 7) as u8));
    file.resize(file.len().next_multiple_of(PAGE), 0);
    let (client, database) = (node.client(), name("my db+1.sqlite"));
    let (progress, heard) = std::sync::mpsc::channel();
    let source = Cursor::new(file.clone());
    let report = move |sent| progress.send(sent).unwrap();
    client.import(&database, source, Some(file.len() as u64), report).await.unwrap();
    assert_eq!(heard.iter().last(), Some(file.len() as u64));
    let mut copy = Vec::new();
    let mut last = None;
    let len =
        client.export(&database, &mut copy, |received, total| last = Some((received, total))).await.unwrap();
    assert_eq!(len, file.len() as u64);
    assert!(copy == file);
    assert_eq!(last, Some((len, Some(len))));
}

#[tokio::test(flavor = "multi_thread")]
async fn import_that_breaks_off_changes_nothing() {
    struct Breaks(usize);
    impl std::io::Read for Breaks {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => into[..16].copy_from_slice(b"SQLite format 3\0"),
                2..100 => into.fill(1),
                _ => return Err(std::io::Error::other("the cable was pulled")),
            }
            Ok(if self.0 == 1 { 16 } else { into.len() })
        }
    }
    let host = FakeHost::primary();
    let node = Node::start(&host).await;
    let error = node.client().import(&name("db"), Breaks(0), None, |_| ()).await.unwrap_err();
    assert!(matches!(error, ClientError::Local(_)), "{error}");
    assert_eq!(error.to_string(), "the cable was pulled");
    let cut = b"POST /import?name=db HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\nSQLite format 3\0";
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(cut).await.unwrap();
    drop(stream);
    // Answered after the import above and beside the one just cut off.
    let refused =
        node.client().import(&name("db"), Cursor::new(b"nonsense"), None, |_| ()).await.unwrap_err();
    assert_eq!(refused.to_string(), "read database header: invalid database header");
    assert_eq!(host.position("db").txid.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_of_an_import_is_told_although_the_file_was_not_read() {
    let node = Node::start(&FakeHost::replica()).await;
    let endless = std::io::Read::take(std::io::repeat(1), 1 << 30);
    let error = node.client().import(&name("db"), endless, Some(1 << 30), |_| ()).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 503, .. }), "{error}");
    assert_eq!(error.to_string(), "lease expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn b34_export_that_breaks_off_is_an_error_and_never_a_short_file() {
    let host = FakeHost::primary();
    let pages: Vec<_> = (1..=2000).map(|number| (number, 7)).collect();
    host.commit("db", &pages);
    host.cut_exports_at(2000 * PAGE - 100);
    let node = Node::start(&host).await;
    let mut copy = Vec::new();
    let error = node.client().export(&name("db"), &mut copy, |_, _| ()).await.unwrap_err();
    assert!(matches!(error, ClientError::Http { .. }), "{error}");
    let reply = node.talk(b"GET /export?name=db HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let text = String::from_utf8_lossy(&reply);
    let (header, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(header.contains("content-length: 1024000"), "{header}");
    assert!(body.len() < 2000 * PAGE && body.bytes().all(|byte| byte == 7), "no error text in the body");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_database_cannot_be_exported() {
    let host = FakeHost::primary();
    host.commit("db", &[(1, 1)]);
    host.drop_database("db");
    let node = Node::start(&host).await;
    assert_eq!(node.ask(Method::GET, "/export?name=db").await, (500, "database is empty\n".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn status_names_role_and_databases() {
    let host = FakeHost::primary();
    host.commit("db", &[(1, 1), (2, 2)]);
    let position = host.commit("db", &[(2, 3)]);
    let node = Node::start(&host).await;
    let status = node.client().status().await.unwrap();
    assert_eq!(status.role, "primary");
    assert_eq!(status.primary_hostname.as_deref(), Some("nodea"));
    let database = &status.databases["db"];
    assert_eq!(
        (&database.txid, &database.checksum),
        (&position.txid.to_string(), &position.checksum.to_string())
    );
    assert_eq!(database.size_bytes, 1024);
    assert_eq!(database.log_first.as_deref(), Some("0000000000000001"));
    assert_eq!(database.log_last.as_deref(), Some("0000000000000002"));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_variables_have_the_names_of_litefs() {
    let host = FakeHost::primary();
    host.commit("db", &[(1, 1)]);
    let position = host.commit("db", &[(1, 2)]);
    let node = Node::start(&host).await;
    let (status, text) = node.ask(Method::GET, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "litefs_db_count 1",
        "litefs_is_primary 1",
        "litefs_subscriber_count 0",
        "litefs_http_stream_count 0",
        "litefs_lag_seconds 0.0",
        "# TYPE litefs_db_commit_count counter",
        "litefs_db_txid{db=\"db\"} 2",
        "litefs_db_commit_count{db=\"db\"} 2",
        "litefs_db_ltx_bytes{db=\"db\"} 0",
    ] {
        let found = text.lines().any(|found| {
            found == line || (line.ends_with("} 0") && found.starts_with(&line[..line.len() - 1]))
        });
        assert!(found, "{line} is not in\n{text}");
    }
    assert!(!text.contains("_total") && !text.contains("# EOF"), "{text}");
    let (_, text) = node.ask(Method::GET, "/debug/vars").await;
    assert!(text.contains(&position.checksum.to_string()), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_begin_with_the_role_and_go_on_with_transactions() {
    let host = FakeHost::primary();
    let node = Node::start(&host).await;
    let mut events = node.client().events().await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap(), r#"{"type":"init","data":{"isPrimary":true}}"#);
    let position = host.commit("db", &[(1, 1)]);
    let line = events.next().await.unwrap().unwrap();
    let expected = format!(
        r#"{{"type":"tx","db":"db","data":{{"txID":"{}","postApplyChecksum":"{}","pageSize":512,"commit":1,"timestamp":"1970-01-01T00:00:01Z"}}}}"#,
        position.txid, position.checksum
    );
    assert_eq!(line, expected);
    host.lose_lease();
    assert_eq!(
        events.next().await.unwrap().unwrap(),
        r#"{"type":"primaryChange","data":{"isPrimary":false}}"#
    );
    node.stop().await;
    assert_eq!(events.next().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriber_that_cannot_keep_up_with_events_is_disconnected() {
    let host = FakeHost::primary();
    let node = Node::start(&host).await;
    let mut events = node.client().events().await.unwrap();
    events.next().await.unwrap();
    let mut lagged = false;
    // Far more than fit into the buffer at once.
    for _ in 0..100 {
        for _ in 0..1000 {
            host.emit(Event::RoleChange(Role::Primary));
        }
        tokio::task::yield_now().await;
    }
    for _ in 0..100_000 {
        match timeout(PATIENCE, events.next()).await.expect("the connection goes on or ends") {
            Ok(Some(_)) => (),
            Ok(None) => panic!("the end looks like a regular one"),
            Err(_) => {
                lagged = true;
                break;
            }
        }
    }
    assert!(lagged);
    assert_eq!(node.ask(Method::GET, "/info").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn b12_end_of_a_halt_of_an_unknown_database_is_refused() {
    let node = Node::start(&FakeHost::primary()).await;
    let reply = node.ask(Method::DELETE, "/halt?name=missing&id=1").await;
    assert_eq!((reply.0, reply.1.as_str()), (404, "database not found: \"missing\"\n"));
}
