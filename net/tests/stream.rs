//! The stream as a replica sees it, byte by byte.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use litefs_core::ltx::{Ltx, decode_all};
use litefs_core::stream::{Chunk, ChunkReader, Frame, encode_position_map};
use litefs_core::{Checksum, DatabaseName, NodeId, Position, Txid};
use litefs_net::{Host, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::fake_host::{FakeHost, PAGE, name};
use crate::node::{Node, PATIENCE, eventually, first_bytes};
use crate::recorded;

/// A stream that a test reads.
struct Stream {
    body: Incoming,
    received: Vec<u8>,
}

impl Stream {
    async fn open(node: &Node, positions: &[(&str, Position)]) -> Self {
        Self::open_at(node, "/stream", positions).await
    }

    async fn open_at(node: &Node, path: &str, positions: &[(&str, Position)]) -> Self {
        let positions = positions.iter().map(|(text, position)| (name(text), *position)).collect();
        let reply = ask(node, path, encode_position_map(&positions)).await;
        assert_eq!(reply.status(), 200);
        Self { body: reply.into_body(), received: Vec::new() }
    }

    /// The next frame, and the file if it has one. `None` at the end.
    async fn next(&mut self) -> Option<(Frame, Option<Ltx>)> {
        let frame = loop {
            if let Some((frame, used)) = Frame::decode(&self.received).unwrap() {
                self.received.drain(..used);
                break frame;
            }
            if !self.receive().await {
                assert!(self.received.is_empty(), "the stream ends within a frame");
                return None;
            }
        };
        if !matches!(frame, Frame::Ltx { .. }) {
            return Some((frame, None));
        }
        let (mut chunks, mut file) = (ChunkReader::new(), Vec::new());
        loop {
            match chunks.read(&self.received) {
                Chunk::Data { start, end } => {
                    file.extend_from_slice(&self.received[start..end]);
                    self.received.drain(..end);
                }
                Chunk::End { used } => {
                    self.received.drain(..used);
                    return Some((frame, Some(decode_all(&file).unwrap())));
                }
                Chunk::NeedsMore => assert!(self.receive().await, "the stream ends within a file"),
            }
        }
    }

    /// The next file, and the database it is of. Other frames are skipped.
    async fn next_ltx(&mut self) -> (DatabaseName, Ltx) {
        loop {
            match self.next().await.expect("the stream goes on") {
                (Frame::Ltx { database }, Some(ltx)) => return (database, ltx),
                _ => continue,
            }
        }
    }

    async fn receive(&mut self) -> bool {
        match timeout(PATIENCE, self.body.frame()).await.expect("the stream goes on") {
            Some(frame) => {
                self.received.extend(frame.unwrap().into_data().unwrap_or_default());
                true
            }
            None => false,
        }
    }
}

async fn ask(node: &Node, path: &str, body: Vec<u8>) -> Response<Incoming> {
    let request = Request::post(path).header("Litefs-Id", "000000000000000B");
    node.request(request.body(Full::new(Bytes::from(body))).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_that_is_one_behind_gets_the_bytes_litefs_sends() {
    let recorded = recorded::incremental_reply();
    let host = FakeHost::primary();
    let position = Position { txid: Txid::new(2), checksum: Checksum::new(0xf07b_7dc7_701d_41ba) };
    host.log_ltx("db", &recorded[0x23..0x144], position);
    let node = Node::start(&host).await;
    let reply = ask(&node, "/stream", recorded::incremental_request()).await;
    assert_eq!(reply.headers()["litefs-id"], "000000000000000A");
    assert_eq!(reply.headers()["litefs-cluster-id"], "LFSC0000000000000001");
    let bytes = first_bytes(&mut reply.into_body(), 0x15c + 24).await;
    assert_eq!(bytes[..0x15c], recorded[..0x15c]);
    for heartbeat in [0x15c, 0x168] {
        assert_eq!(
            bytes[heartbeat..heartbeat + 4],
            recorded[heartbeat..heartbeat + 4],
            "a heartbeat each second"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_that_has_nothing_gets_a_snapshot_then_ready_then_heartbeat() {
    let host = FakeHost::primary();
    host.commit("db", &[(1, 1), (2, 2)]);
    let position = host.commit("db", &[(2, 3)]);
    let node = Node::start(&host).await;
    let mut stream = Stream::open(&node, &[]).await;
    let (frame, ltx) = stream.next().await.unwrap();
    let ltx = ltx.unwrap();
    assert_eq!(frame, Frame::Ltx { database: name("db") });
    assert_eq!((ltx.header.min_txid, ltx.header.max_txid), (Txid::new(1), position.txid));
    assert_eq!((ltx.header.pre_apply, ltx.trailer.post_apply), (Checksum::ZERO, position.checksum));
    assert_eq!(ltx.header.node_id, NodeId::new(0xA));
    assert_eq!(stream.next().await.unwrap().0, Frame::Ready, "no high-water mark follows a snapshot");
    assert!(matches!(stream.next().await.unwrap().0, Frame::Heartbeat { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_follow_as_they_happen_and_drops_are_transactions() {
    let host = FakeHost::primary();
    let node = Node::start(&host).await;
    let mut stream = Stream::open(&node, &[]).await;
    assert_eq!(stream.next().await.unwrap().0, Frame::Ready);
    let first = host.commit("db", &[(1, 1)]);
    let (database, ltx) = stream.next_ltx().await;
    assert_eq!((database, ltx.trailer.post_apply), (name("db"), first.checksum));
    let second = host.commit("db", &[(1, 2)]);
    let (_, ltx) = stream.next_ltx().await;
    assert_eq!((ltx.header.min_txid, ltx.header.max_txid), (second.txid, second.txid));
    assert_eq!(stream.next().await.unwrap().0, Frame::HighWater { txid: Txid::ZERO, database: name("db") });
    host.drop_database("db");
    let (_, ltx) = stream.next_ltx().await;
    assert_eq!((ltx.header.commit, ltx.trailer.post_apply), (0, Checksum::EMPTY));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commits_at_once_all_arrive_in_order() {
    let host = FakeHost::primary();
    let node = Node::start(&host).await;
    let mut stream = Stream::open(&node, &[]).await;
    assert_eq!(stream.next().await.unwrap().0, Frame::Ready);
    // More than the channel of changes holds, so that it overflows.
    for round in 0..300u32 {
        host.commit("a", &[(1, round as u8)]);
        host.commit("b", &[(1, !(round as u8))]);
    }
    let mut ends = std::collections::BTreeMap::new();
    while ends.values().filter(|txid| **txid == Txid::new(300)).count() < 2 {
        let (database, ltx) = stream.next_ltx().await;
        let before = ends.insert(database, ltx.header.max_txid).unwrap_or(Txid::ZERO);
        assert!(ltx.header.is_snapshot() || ltx.header.min_txid == before.next());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_the_log_lost_or_damaged_is_replaced_by_a_snapshot() {
    let host = FakeHost::primary();
    let first = host.commit("lost", &[(1, 1)]);
    host.commit("lost", &[(1, 2)]);
    host.commit("damaged", &[(1, 1)]);
    host.commit("damaged", &[(1, 2)]);
    host.commit("diverged", &[(1, 1)]);
    host.commit("diverged", &[(1, 2)]);
    host.forget("lost", 2);
    host.damage("damaged", 2);
    let node = Node::start(&host).await;
    let other = Position { checksum: Checksum::new(first.checksum.get() ^ 1), ..first };
    let mut stream = Stream::open(&node, &[("damaged", first), ("diverged", other), ("lost", first)]).await;
    for database in ["damaged", "diverged", "lost"] {
        let (found, ltx) = stream.next_ltx().await;
        assert_eq!(found, name(database));
        assert!(ltx.header.is_snapshot());
        assert_eq!(ltx.trailer.post_apply, host.position(database).checksum);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_that_is_ahead_or_elsewhere_gets_a_snapshot() {
    let host = FakeHost::primary();
    let position = host.commit("db", &[(1, 1)]);
    let node = Node::start(&host).await;
    let ahead = Position { txid: Txid::new(9), checksum: Checksum::new(1 << 63 | 9) };
    let elsewhere = Position { checksum: Checksum::new(1 << 63 | 9), ..position };
    for peer in [ahead, elsewhere] {
        let (_, ltx) = Stream::open(&node, &[("db", peer)]).await.next_ltx().await;
        assert!(ltx.header.is_snapshot());
        assert_eq!(ltx.header.max_txid, position.txid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filtered_stream_has_only_the_databases_that_were_asked_for() {
    let host = FakeHost::primary();
    for database in ["a", "b b", "c"] {
        host.commit(database, &[(1, 1)]);
    }
    let node = Node::start(&host).await;
    let mut stream = Stream::open_at(&node, "/stream?filter=b%20b%2Cc", &[]).await;
    assert_eq!(stream.next_ltx().await.0, name("b b"));
    assert_eq!(stream.next_ltx().await.0, name("c"));
    assert_eq!(stream.next().await.unwrap().0, Frame::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_ends_properly_when_the_role_is_lost_or_the_node_stops() {
    let host = FakeHost::primary();
    let node = Node::start(&host).await;
    let mut stream = Stream::open(&node, &[]).await;
    assert_eq!(stream.next().await.unwrap().0, Frame::Ready);
    host.lose_lease();
    while stream.next().await.is_some_and(|(frame, _)| frame != Frame::End) {}
    assert_eq!(stream.next().await.map(|(frame, _)| frame), None);

    let host = FakeHost::primary();
    let node = Node::start(&host).await;
    let mut stream = Stream::open(&node, &[]).await;
    assert_eq!(stream.next().await.unwrap().0, Frame::Ready);
    let end = tokio::spawn(async move {
        let mut last = None;
        while let Some((frame, _)) = stream.next().await {
            last = Some(frame);
        }
        last
    });
    node.stop().await;
    assert_eq!(end.await.unwrap(), Some(Frame::End));
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_hears_something_while_a_transaction_is_looked_up() {
    let host = FakeHost::primary();
    let first = host.commit("db", &[(1, 1)]);
    let node = Node::start(&host).await;
    host.close_log(true);
    let second = host.commit("db", &[(1, 2)]);
    let mut stream = Stream::open(&node, &[("db", first)]).await;
    let mark = Frame::HighWater { txid: Txid::ZERO, database: name("db") };
    for _ in 0..2 {
        assert_eq!(stream.next().await.unwrap().0, mark);
    }
    host.close_log(false);
    let (_, ltx) = stream.next_ltx().await;
    assert_eq!(ltx.header.max_txid, second.txid);
    assert_eq!(stream.next().await.unwrap().0, mark);
}

#[tokio::test(flavor = "multi_thread")]
async fn primary_steps_down_although_a_replica_reads_nothing_and_cuts_off_its_snapshot() {
    let host = FakeHost::primary();
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let pages: Vec<_> = (1..=40_000).map(|number| (number, (0..PAGE).map(|_| noise()).collect())).collect();
    host.commit_pages(&name("db"), &pages);
    let node = Node::start(&host).await;
    let mut reply = ask(&node, "/stream", encode_position_map(&std::collections::BTreeMap::new())).await;
    assert!(reply.body_mut().frame().await.unwrap().is_ok());
    host.lose_lease();
    eventually("it steps down", || host.standing().borrow().role == Role::Searching).await;
    let whole = timeout(PATIENCE, reply.into_body().collect()).await.expect("the stream is cut off");
    assert!(whole.is_err(), "a snapshot that is cut off looks like an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn b24_subscribers_and_what_they_are_sent_are_counted() {
    let host = FakeHost::primary();
    host.commit("db", &[(1, 1)]);
    let node = Node::start(&host).await;
    let mut stream = Stream::open(&node, &[]).await;
    stream.next_ltx().await;
    assert_eq!(stream.next().await.unwrap().0, Frame::Ready);
    let (_, text) = node.ask(http::Method::GET, "/metrics").await;
    assert!(text.contains("\nlitefs_http_stream_count 1\n"), "{text}");
    let sent = ["db=\"db\",type=\"ltx:snapshot\"", "type=\"ltx:snapshot\",db=\"db\""];
    let sent = sent.map(|labels| format!("\nlitefs_http_frame_send_count{{{labels}}} 1\n"));
    assert!(sent.iter().any(|line| text.contains(line)), "{text}");
    assert_eq!(node.client().status().await.unwrap().subscribers, ["000000000000000B"]);
    let target = node.ask(http::Method::POST, "/handoff?nodeID=000000000000000B").await;
    assert_eq!(target, (500, "cannot handoff: static lease does not support handoff\n".into()));
    drop(stream);
    let began = tokio::time::Instant::now();
    while !node.client().status().await.unwrap().subscribers.is_empty() {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn position_map_that_is_cut_off_or_wrong_is_refused() {
    let node = Node::start(&FakeHost::primary()).await;
    let whole = recorded::incremental_request();
    for len in 0..whole.len() {
        let reply = ask(&node, "/stream", whole[..len].to_vec()).await;
        assert_eq!(reply.status(), 400, "{len} bytes");
    }
    let mut escaping = whole.clone();
    escaping[8..10].copy_from_slice(b"..");
    let mut endless = whole.clone();
    endless[4..8].fill(0xff);
    for wrong in [escaping, endless] {
        assert_eq!(ask(&node, "/stream", wrong).await.status(), 400);
    }
    let mut longer = whole;
    longer.extend_from_slice(b"ignored");
    assert_eq!(ask(&node, "/stream", longer).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_begins_before_the_peer_ends_its_request() {
    let host = FakeHost::primary();
    let node = Node::start(&host).await;
    let mut socket = tokio::net::TcpStream::connect(node.address).await.unwrap();
    // HTTP/2: preface, empty SETTINGS, HEADERS without end of stream (:method POST, :scheme http, :path /stream as
    // literals), DATA with an empty position map, again without end of stream.
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let headers = b"\x83\x86\x04\x07/stream\x01\x01x";
    request.extend_from_slice(&[0, 0, headers.len() as u8, 1, 4, 0, 0, 0, 1]);
    request.extend_from_slice(headers);
    request.extend_from_slice(b"\0\0\x04\0\0\0\0\0\x01\0\0\0\0");
    socket.write_all(&request).await.unwrap();
    let mut received = Vec::new();
    let ready_and_heartbeat = b"\0\0\0\x02\0\0\0\x07";
    while !received.windows(8).any(|window| window == ready_and_heartbeat) {
        let read =
            timeout(PATIENCE, socket.read_buf(&mut received)).await.expect("the stream begins").unwrap();
        assert!(read > 0, "the connection was closed after {received:?}");
    }
}
