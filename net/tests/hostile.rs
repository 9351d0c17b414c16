//! Replicas of primaries that say the wrong things.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame as BodyFrame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use litefs_core::ltx::Header;
use litefs_core::stream::{Frame, encode_chunks, encode_chunks_end};
use litefs_core::{Checksum, ClusterId, NodeId, PageSize, Position, Txid};
use litefs_net::{Host, Member, PrimaryInfo, StaticLease, Stopper};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tracing::instrument::WithSubscriber;

use crate::fake_host::{FakeHost, PAGE, encode, name};
use crate::node::{PATIENCE, eventually, follow};
use crate::recorded;
use crate::recorder::{Line, Recorder};

/// What a scripted primary does after its last byte.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    End,
    Cut,
    Hang,
}

/// A reply that says what a test wants.
pub(crate) struct Script {
    pub(crate) pieces: VecDeque<Bytes>,
    pub(crate) then: Then,
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, io::Error>>> {
        match (self.pieces.pop_front(), self.then) {
            (Some(piece), _) => Poll::Ready(Some(Ok(BodyFrame::data(piece)))),
            (None, Then::End) => Poll::Ready(None),
            (None, Then::Cut) => Poll::Ready(Some(Err(io::Error::other("cut")))),
            (None, Then::Hang) => Poll::Pending,
        }
    }
}

/// A primary whose answers to `/stream` follow a script, one after the other; the last one is repeated.
pub(crate) struct ScriptedPrimary {
    pub(crate) info: PrimaryInfo,
    pub(crate) connections: Arc<AtomicUsize>,
    /// The position maps that were sent to it.
    pub(crate) requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl ScriptedPrimary {
    pub(crate) async fn start(cluster: Option<&str>, scripts: Vec<(Vec<u8>, Then)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (count, seen) = (Arc::clone(&connections), Arc::clone(&requests));
        let cluster = cluster.map(str::to_owned);
        let scripts = Arc::new(scripts);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (cluster, scripts, seen) = (cluster.clone(), Arc::clone(&scripts), Arc::clone(&seen));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (bytes, then) = scripts[number.min(scripts.len() - 1)].clone();
                    let (cluster, seen) = (cluster.clone(), Arc::clone(&seen));
                    async move {
                        let map = request.into_body().collect().await.unwrap().to_bytes();
                        seen.lock().unwrap().push(map.to_vec());
                        let pieces = bytes.chunks(1000).map(Bytes::copy_from_slice).collect();
                        let mut reply = Response::new(Script { pieces, then });
                        if let Some(cluster) = cluster {
                            reply.headers_mut().insert("Litefs-Cluster-Id", cluster.parse().unwrap());
                        }
                        Ok::<_, Infallible>(reply)
                    }
                });
                let connection = http2::Builder::new(TokioExecutor::new());
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { info: PrimaryInfo { hostname: "nodea".into(), url }, connections, requests }
    }

    /// What one attempt to follow it comes to: whether the stream ended as it should, or why not.
    async fn follow_once(&self, host: &Arc<FakeHost>) -> Result<(), String> {
        let (stopper, stop) = Stopper::new();
        let lease = StaticLease::replica_of(self.info.clone());
        let member = Member::new(host.clone(), lease, &[], Duration::from_secs(3600));
        let recorder = Recorder::default();
        let member = tokio::spawn(member.run(stop).with_subscriber(recorder.clone()));
        eventually("following ends", || recorder.find(end_of_stream).is_some()).await;
        stopper.stop();
        timeout(PATIENCE, member).await.expect("the member stops").unwrap();
        recorder.find(end_of_stream).unwrap()
    }
}

/// Why a stream ended, if the line says that.
fn end_of_stream(line: &Line) -> Option<Result<(), String>> {
    match line.message.as_str() {
        "disconnected from primary, retrying" => Some(Ok(())),
        "disconnected from primary with error, retrying" => Some(Err(line.error.clone())),
        text if text.starts_with("position mismatch") || text.starts_with("cannot stream from primary") => {
            Some(Err(text.to_owned()))
        }
        _ => None,
    }
}

const CLUSTER: Option<&str> = Some("LFSC0000000000000001");

/// Frames with the LTX files between them.
pub(crate) fn ltx_frame(database: &str, ltx: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Frame::Ltx { database: name(database) }.encode(&mut out);
    encode_chunks(ltx, &mut out);
    encode_chunks_end(&mut out);
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_snapshot_of_litefs_is_applied() {
    let host = FakeHost::replica();
    let primary = ScriptedPrimary::start(CLUSTER, vec![(recorded::snapshot_reply(), Then::Hang)]).await;
    let (_stopper, _member) = follow(&host, primary.info.clone());
    eventually("the last heartbeat counts", || host.caught_up_at() == Some(0x01a2_0262_856d)).await;
    assert_eq!(host.position("db").to_string(), "0000000000000002/f07b7dc7701d41ba");
    assert!(host.page("db", 1).unwrap().starts_with(b"SQLite format 3\0"));
    assert!(host.standing().borrow().ready);
    assert_eq!(host.identity().cluster_id, CLUSTER.unwrap().parse().ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_that_ends_anywhere_is_told_from_one_that_ends_properly() {
    let whole = recorded::snapshot_reply();
    // Between frames: before the first, after the LTX file, after Ready, after each heartbeat.
    let boundaries = [0, 0x141, 0x145, 0x151, 0x15d];
    assert_eq!(whole.len(), 0x15d);
    for len in 0..=whole.len() {
        let host = FakeHost::replica();
        let primary = ScriptedPrimary::start(CLUSTER, vec![(whole[..len].to_vec(), Then::End)]).await;
        let outcome = primary.follow_once(&host).await;
        let position = host.position("db").txid;
        if boundaries.contains(&len) {
            assert_eq!(outcome, Ok(()), "{len} bytes");
        } else {
            assert_eq!(outcome, Err("the stream ends within a frame".to_owned()), "{len} bytes");
        }
        assert!(len >= boundaries[1] || position == Txid::ZERO, "{len} bytes were applied");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b22_stream_with_any_flipped_byte_applies_nothing_wrong() {
    let whole = recorded::snapshot_reply();
    let good = FakeHost::replica();
    ScriptedPrimary::start(CLUSTER, vec![(whole.clone(), Then::End)]).await.follow_once(&good).await.unwrap();
    let mut refused = 0;
    for index in 0..0x141 {
        let mut bytes = whole.clone();
        bytes[index] ^= 0x41;
        let host = FakeHost::replica();
        let primary = ScriptedPrimary::start(CLUSTER, vec![(bytes, Then::End)]).await;
        match primary.follow_once(&host).await {
            Err(_) => {
                refused += 1;
                assert_eq!(host.position("db"), Position::ZERO, "byte {index}");
            }
            // Bytes 16 and 17 are the name of the database.
            Ok(_) if (16..18).contains(&index) => assert_eq!(host.position("db"), Position::ZERO),
            // Bytes 4 to 11 are a size that receivers ignore; some bytes of compressed zeros may stand for zeros still.
            Ok(_) => {
                let pages = |host: &FakeHost| [1, 2].map(|number| host.page("db", number).unwrap());
                assert_eq!(host.position("db"), good.position("db"), "byte {index}");
                assert_eq!(pages(&host), pages(&good), "byte {index}");
            }
        }
    }
    assert!(refused > 280, "only {refused} were refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn b20_nonsense_disconnects_with_its_reason() {
    let mut error_text = vec![0, 0, 0, 2];
    error_text.extend_from_slice(b"snapshot checksum mismatch\n");
    let mut bad_name = vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    bad_name.extend_from_slice(b"..");
    let rows = [
        (b"\0\0\0\x09".to_vec(), "the primary sent nonsense: invalid stream frame type: 0x09"),
        (error_text, "the primary sent nonsense: invalid stream frame type: 0x736e6170"),
        (bad_name, "the primary sent nonsense: invalid database name: \".\" and \"..\" are directories"),
        (
            ltx_frame("db", b"not an LTX file"),
            "the primary sent a damaged transaction of db: at byte 15 of the LTX file: the file ends here, before its trailer is complete",
        ),
    ];
    for (bytes, message) in rows {
        let host = FakeHost::replica();
        let primary = ScriptedPrimary::start(CLUSTER, vec![(bytes, Then::Hang)]).await;
        assert_eq!(primary.follow_once(&host).await.unwrap_err(), message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_that_is_reset_is_a_failure() {
    let host = FakeHost::replica();
    let primary = ScriptedPrimary::start(CLUSTER, vec![(vec![0, 0, 0, 2], Then::Cut)]).await;
    let outcome = primary.follow_once(&host).await;
    let error = outcome.unwrap_err();
    // The reset may overtake the header of the reply.
    assert!(error.starts_with("the stream failed: ") || error.starts_with("connection to "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn b21_primary_that_falls_silent_is_left() {
    let host = FakeHost::replica();
    let primary = ScriptedPrimary::start(CLUSTER, vec![(vec![0, 0, 0, 2], Then::Hang)]).await;
    let began = Instant::now();
    let outcome = primary.follow_once(&host).await;
    assert_eq!(outcome, Err("the primary sent nothing for 10s".to_owned()));
    assert!(began.elapsed() >= Duration::from_secs(9), "it was left too early");
}

#[tokio::test(flavor = "multi_thread")]
async fn primary_of_another_cluster_is_not_followed_and_data_stays() {
    let reply = vec![(recorded::snapshot_reply(), Then::End)];
    let rows = [
        (
            Some("LFSC0000000000000002"),
            "the primary has LFSC0000000000000002, this node has LFSC0000000000000001",
        ),
        (None, "the primary has none, this node has LFSC0000000000000001"),
    ];
    for (theirs, message) in rows {
        let host = FakeHost::replica();
        host.set_cluster(Some(ClusterId::new(1)));
        let before = host.commit("db", &[(1, 1)]);
        let error = ScriptedPrimary::start(theirs, reply.clone()).await.follow_once(&host).await.unwrap_err();
        assert_eq!(error, format!("cannot stream from primary with a different cluster id: {message}"));
        assert_eq!(host.position("db"), before);
    }
    let error =
        ScriptedPrimary::start(Some("x"), reply).await.follow_once(&FakeHost::replica()).await.unwrap_err();
    assert_eq!(error, "the primary sent an invalid cluster id: invalid cluster id: 1 bytes, expected 20");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_mean_nothing_here_are_skipped() {
    let mut bytes = Vec::new();
    Frame::DropDatabase { database: name("db") }.encode(&mut bytes);
    Frame::HighWater { txid: Txid::new(7), database: name("missing") }.encode(&mut bytes);
    Frame::Handoff { lease: "lease".into() }.encode(&mut bytes);
    bytes.extend_from_slice(b"never read");
    let host = FakeHost::replica();
    let before = host.commit("db", &[(1, 1)]);
    let primary = ScriptedPrimary::start(CLUSTER, vec![(bytes, Then::Hang)]).await;
    assert_eq!(primary.follow_once(&host).await, Ok(()));
    assert_eq!(host.position("db"), before);
}

fn header(min: u64, max: u64, pre_apply: Checksum) -> Header {
    Header {
        compressed: false,
        page_size: PageSize::new(PAGE as u32).unwrap(),
        commit: 1,
        min_txid: Txid::new(min),
        max_txid: Txid::new(max),
        timestamp_ms: 0,
        pre_apply,
        wal_offset: 0,
        wal_size: 0,
        wal_salt: [0, 0],
        node_id: NodeId::new(0xA),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b01_transaction_without_pages_is_replaced_by_a_snapshot() {
    let host = FakeHost::replica();
    let before = host.commit("db", &[(1, 1)]);
    let model = FakeHost::primary();
    model.commit("db", &[(1, 1)]);
    let after = model.commit("db", &[(1, 2)]);
    let without_pages = encode(header(2, 2, before.checksum), std::iter::empty(), after);
    let page = [2; PAGE];
    let snapshot = encode(header(1, 2, Checksum::ZERO), [(1, page.as_slice())].into_iter(), after);
    let scripts =
        vec![(ltx_frame("db", &without_pages), Then::Hang), (ltx_frame("db", &snapshot), Then::Hang)];
    let primary = ScriptedPrimary::start(CLUSTER, scripts).await;
    let (_stopper, _member) = follow(&host, primary.info.clone());
    eventually("the snapshot is applied", || host.position("db") == after).await;
    assert_eq!(host.page("db", 1).unwrap(), page);
    let requests = primary.requests.lock().unwrap();
    assert_eq!(requests[1][10..], [0; 16], "the second request announces the database as empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn position_mismatch_is_announced_again_before_a_snapshot_is_asked_for() {
    let host = FakeHost::replica();
    let before = host.commit("db", &[(1, 1)]);
    let stray = Checksum::new(1 << 63 | 5);
    let page = [2; PAGE];
    let ltx = encode(
        header(5, 5, stray),
        [(1, page.as_slice())].into_iter(),
        Position { txid: Txid::new(5), checksum: stray },
    );
    let primary = ScriptedPrimary::start(CLUSTER, vec![(ltx_frame("db", &ltx), Then::Hang)]).await;
    let error = primary.follow_once(&host).await.unwrap_err();
    let expected = Position { txid: Txid::new(4), checksum: stray };
    assert_eq!(
        error,
        format!(
            "position mismatch on db \"db\": the database is at {before}, the transaction that was sent follows {expected}"
        )
    );
    let (_stopper, _member) = follow(&host, primary.info.clone());
    eventually("it connects again", || primary.requests.lock().unwrap().len() >= 4).await;
    let requests = primary.requests.lock().unwrap();
    let announced: Vec<bool> = requests.iter().map(|map| map[10..26] != [0; 16]).collect();
    assert_eq!(announced[..4], [true, true, true, false]);
    assert_eq!(host.position("db"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn own_transaction_that_comes_back_is_skipped_only_if_it_is_here() {
    let host = FakeHost::replica();
    let before = host.commit("db", &[(1, 1)]);
    let here = host.commit("db", &[(1, 2)]);
    let own = Header { node_id: NodeId::new(0xB), ..header(2, 2, before.checksum) };
    let page = [2; PAGE];
    let echo = encode(own, [(1, page.as_slice())].into_iter(), here);
    let model = FakeHost::primary();
    for byte in [1, 2, 3] {
        model.commit("db", &[(1, byte)]);
    }
    let next = Header { node_id: NodeId::new(0xB), ..header(3, 3, here.checksum) };
    let page = [3; PAGE];
    let lost = encode(next, [(1, page.as_slice())].into_iter(), model.position("db"));
    let mut stream = ltx_frame("db", &echo);
    stream.extend(ltx_frame("db", &lost));
    let primary = ScriptedPrimary::start(CLUSTER, vec![(stream, Then::Hang)]).await;
    let (_stopper, _member) = follow(&host, primary.info.clone());
    eventually("the transaction that is not here is applied", || host.position("db") == model.position("db"))
        .await;
    assert_eq!(primary.connections.load(Ordering::SeqCst), 1);
}
