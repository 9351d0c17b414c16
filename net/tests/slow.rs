//! Peers and databases that are slow or stuck, and those beside them.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use litefs_core::stream::encode_position_map;
use litefs_net::{Host, Limits};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::fake_host::{FakeHost, PAGE, name};
use crate::node::{Node, eventually, follow};

/// Pages of one transaction of about 256 KiB that do not compress.
fn noise(seed: u32) -> Vec<(u32, Vec<u8>)> {
    let mut state = seed;
    let mut page = || {
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(PAGE)
        .collect()
    };
    (1..=512).map(|number| (number, page())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn peer_that_does_not_read_is_dropped_and_holds_up_nobody() {
    let primary = FakeHost::primary();
    for seed in 0..120 {
        primary.commit_pages(&name("db"), &noise(seed));
    }
    let limits = Limits { stall_timeout: Duration::from_millis(300), ..Limits::default() };
    let node = Node::start_with(&primary, "127.0.0.1:0", limits).await;
    let request = Request::post("/stream").header("Litefs-Id", "000000000000000C");
    let first = [(name("db"), first_position(&primary))].into();
    let request = request.body(Full::new(Bytes::from(encode_position_map(&first)))).unwrap();
    let stuck = node.request(request).await;
    assert_eq!(stuck.status(), 200);
    let replica = FakeHost::replica();
    let (_stopper, _member) = follow(&replica, node.info());
    eventually("the other replica gets everything", || replica.positions() == primary.positions()).await;
    let began = tokio::time::Instant::now();
    while node.client().status().await.unwrap().subscribers.contains(&"000000000000000C".to_owned()) {
        assert!(began.elapsed() < Duration::from_secs(10), "the stuck peer was not dropped");
    }
    drop(stuck);
}

/// The position after the first transaction of the database that [`noise`] makes.
fn first_position(primary: &FakeHost) -> litefs_core::Position {
    let model = FakeHost::primary();
    let position = model.commit_pages(&name("db"), &noise(0));
    assert_ne!(position, primary.position("db"));
    position
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_does_not_read_its_export_is_closed() {
    let primary = FakeHost::primary();
    let pages: Vec<_> = (1..=100_000).map(|number| (number, 7)).collect();
    primary.commit("db", &pages);
    let limits = Limits { stall_timeout: Duration::from_millis(300), connections: 1, ..Limits::default() };
    let node = Node::start_with(&primary, "127.0.0.1:0", limits).await;
    let mut stuck = TcpStream::connect(node.address).await.unwrap();
    stuck.write_all(b"GET /export?name=db HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    stuck.readable().await.unwrap();
    // There is one place, so the next request is answered once the stuck one has lost it.
    assert!(node.client().info().await.unwrap().is_primary);
}

#[tokio::test(flavor = "multi_thread")]
async fn stuck_database_does_not_hold_up_another() {
    let (primary, replica) = (FakeHost::primary(), FakeHost::replica());
    primary.commit("stuck", &[(1, 1)]);
    primary.commit("other", &[(1, 1)]);
    let node = Node::start(&primary).await;
    let (_stopper, _member) = follow(&replica, node.info());
    eventually("both are there", || replica.positions() == primary.positions()).await;
    replica.close_gate("stuck");
    for byte in 2..50 {
        primary.commit("stuck", &[(1, byte)]);
        primary.commit("other", &[(1, byte)]);
        eventually("the other database goes on", || replica.position("other") == primary.position("other"))
            .await;
    }
    assert_eq!(replica.position("stuck").txid.get(), 1);
    assert_ne!(replica.caught_up_at(), None);
    let before = replica.caught_up_at();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(replica.caught_up_at(), before, "a node with a database behind has not caught up");
    replica.open_gate("stuck");
    eventually("the stuck one catches up", || replica.positions() == primary.positions()).await;
    eventually("heartbeats count again", || replica.caught_up_at() > before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stuck_database_that_fills_the_room_is_detached_and_fetched_again() {
    let (primary, replica) = (FakeHost::primary(), FakeHost::replica());
    primary.commit_pages(&name("stuck"), &noise(0));
    primary.commit("other", &[(1, 1)]);
    let node = Node::start(&primary).await;
    let (_stopper, _member) = follow(&replica, node.info());
    eventually("both are there", || replica.positions() == primary.positions()).await;
    replica.close_gate("stuck");
    // 75 MiB, more than may wait in memory.
    for seed in 1..300 {
        primary.commit_pages(&name("stuck"), &noise(seed));
    }
    let last = primary.commit("other", &[(1, 2)]);
    eventually("the other database goes on", || replica.position("other") == last).await;
    assert_eq!(replica.position("stuck").txid.get(), 1);
    replica.open_gate("stuck");
    eventually("the stuck one catches up", || replica.positions() == primary.positions()).await;
    assert!(replica.replaced().is_empty(), "the log had everything, so no snapshot was needed");
}
