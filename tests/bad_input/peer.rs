//! Peers that say something else than they should: the node stays up, says so, and has nothing of it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use super::relay::{Relay, Spoil};
use crate::support::{Cluster, Node, assert_replicated, get, open, query, run, sqlite3_prints, wait_until};

/// Has a node, before it is started, follow another address than the primary's.
fn redirect(node: &Node, from: &str, to: &str) {
    let config = fs::read_to_string(node.config()).unwrap();
    assert!(config.contains(from));
    fs::write(node.config(), config.replace(from, to)).unwrap();
}

#[test]
fn replica_whose_primary_speaks_nonsense_stays_up_and_says_so() {
    let answers: [&[u8]; 4] = [
        b"220 mail.example.com ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"\x00\x00\x00\x04\x04\x00\x00\x00\x00\xff\xff\xff\xff",
        b"",
    ];
    for answer in answers {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&done);
        let peer = thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                // The greeting is waited for, or the answer could be lost in a reset.
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(answer);
            }
        });
        let mut cluster = Cluster::start(1);
        let url = cluster.primary().url();
        let node = cluster.add();
        redirect(node, &url, &format!("http://{address}"));
        node.launch();
        node.await_log(&format!("error=\"connection to {address} failed: "));
        assert_eq!(get(node.address(), "/info").0, 200);
        assert_eq!(node.info()["isPrimary"], false);
        node.stop();
        done.store(true, Ordering::Relaxed);
        let _ = std::net::TcpStream::connect(address);
        peer.join().unwrap();
    }
}

/// A replica behind a relay: what the primary has must arrive although connections are spoilt, and nothing else may.
#[track_caller]
fn arrives_through(spoil: Spoil, at_least: usize) {
    let mut cluster = Cluster::start(1);
    let connection = open(cluster.primary(), "app.db");
    run(&connection, "CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(300000))");
    let relay = Relay::start(cluster.primary().address(), spoil);
    let url = cluster.primary().url();
    let node = cluster.add();
    redirect(node, &url, &format!("http://{}", relay.address()));
    node.start();
    for _ in 0..30 {
        run(&connection, "INSERT INTO t VALUES (randomblob(20000))");
        let reader = open(cluster.replica(), "app.db");
        assert_eq!(query::<String>(&reader, "PRAGMA integrity_check"), "ok");
    }
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    assert!(relay.connections() > at_least, "only {} connections were spoilt", relay.connections());
    let log = cluster.replica().log();
    assert!(log.contains("level=WARN msg=\"disconnected from primary with error, retrying\""), "{log}");
}

#[test]
fn stream_that_is_cut_off_anywhere_is_taken_up_again() {
    let seed = AtomicU32::new(1);
    arrives_through(
        Arc::new(move |passed, piece| {
            // Every connection ends somewhere, after more bytes each time.
            let limit = seed.load(Ordering::Relaxed) as usize * 30011;
            if passed + piece.len() < limit {
                return true;
            }
            piece.truncate(limit.saturating_sub(passed));
            seed.fetch_add(1, Ordering::Relaxed);
            false
        }),
        5,
    );
}

#[test]
fn byte_that_changed_on_the_way_is_noticed_and_sent_again() {
    let times = AtomicU32::new(0);
    arrives_through(
        Arc::new(move |passed, piece| {
            // Beyond the headers of the answer, on the first few connections.
            if passed > 20_000
                && times.fetch_add(1, Ordering::Relaxed).is_multiple_of(7)
                && times.load(Ordering::Relaxed) < 40
            {
                let middle = piece.len() / 2;
                piece[middle] ^= 0x04;
            }
            true
        }),
        2,
    );
}

#[test]
fn node_of_another_cluster_is_not_followed() {
    let mut cluster = Cluster::start(2);
    sqlite3_prints(&cluster.primary().path("app.db"), "CREATE TABLE t (x); INSERT INTO t VALUES ('theirs')");
    assert_replicated(cluster.primary(), cluster.replica(), "app.db");
    cluster.nodes[1].stop();
    let (ours, theirs) =
        ("LFSC0123456789ABCDEF", cluster.primary().info()["clusterID"].as_str().unwrap().to_owned());
    fs::write(cluster.replica().data().join("clusterid"), format!("{ours}\n")).unwrap();
    sqlite3_prints(&cluster.primary().path("app.db"), "INSERT INTO t VALUES ('not for us')");
    cluster.nodes[1].launch();
    wait_until("the replica to refuse", || {
        let log = cluster.replica().log();
        log.contains(ours) && log.contains(&theirs)
    });
    assert_eq!(cluster.replica().info()["clusterID"], ours);
    assert_eq!(sqlite3_prints(&cluster.replica().path("app.db"), "SELECT count(*) FROM t"), "1");
    cluster.nodes[1].stop();
}

#[test]
fn database_names_that_cannot_be_are_refused_over_http() {
    let cluster = Cluster::start(1);
    let long = "x".repeat(300);
    for (name, message) in [
        ("", "name required"),
        ("a/b", "invalid database name"),
        ("a%2Fb", "invalid database name"),
        ("..", "invalid database name"),
        ("a%00b", "invalid database name"),
        (long.as_str(), "invalid database name"),
    ] {
        let (status, body) = get(cluster.primary().address(), &format!("/export?name={name}"));
        let text = String::from_utf8(body).unwrap();
        assert_eq!(status, 400, "{name:?}: {text}");
        assert!(text.contains(message), "{name:?}: {text}");
    }
    let (status, body) = get(cluster.primary().address(), "/export?name=none.db");
    assert_eq!((status, String::from_utf8(body).unwrap().trim_end()), (404, "database not found"));
}
