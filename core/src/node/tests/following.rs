use alloc::vec::Vec;

use super::scene::*;
use crate::node::{Body, Delivery, Effect, Event, LeaseReply, Replaces};
use crate::stream::Frame;
use crate::{Position, Txid};

#[test]
fn replica_announces_its_positions_and_applies_what_follows_them() {
    let mut scene = Scene::of(Some(cluster(1)));
    scene.find();
    scene.lease(LeaseReply::Primary(upstream()));
    scene.tell(Event::RoleTaken);
    let (stream, announced) = scene.connecting(&[("a", at(3)), ("b", at(7))]);
    assert_eq!(announced, map(&[("a", at(3)), ("b", at(7))]));
    let read = scene.tell(Event::Connected { stream, cluster: Some(cluster(1)) });
    assert_eq!(read, [Effect::Read(stream)]);
    assert_eq!(scene.note(), "connected to \"http://nodea:20202\"");
    let (first, effects) = scene.receive(stream, "b", at(7));
    assert_eq!(effects, [apply(first, "b"), Effect::Read(stream)], "it reads on while it applies");
    assert_eq!(scene.applied(first, at(8)), []);
}

#[test]
fn primary_that_ends_the_stream_or_fails_is_connected_to_again_after_a_while() {
    let ends = [
        Event::Ended { stream: crate::node::StreamId(1), orderly: true },
        Event::Ended { stream: crate::node::StreamId(1), orderly: false },
        Event::Frame { stream: crate::node::StreamId(1), frame: Frame::End },
        Event::Frame { stream: crate::node::StreamId(1), frame: Frame::Handoff { lease: "x".into() } },
    ];
    for end in ends {
        let (mut scene, stream) = Scene::following(&[("db", at(1))]);
        let closed = if matches!(end, Event::Ended { .. }) { None } else { Some(Effect::Close(stream)) };
        let told = !matches!(end, Event::Ended { orderly: false, .. });
        assert_eq!(scene.tell(end.clone()), Vec::from_iter(closed), "{end:?}");
        assert_eq!(scene.note() == "disconnected from primary, retrying", told, "{end:?}");
        assert!((SECOND * 3 / 4..=SECOND * 5 / 4).contains(&scene.wake.unwrap()));
        let asked = scene.wake_up();
        let (next, announced) = scene.reconnecting(&asked, &[("db", at(1))]);
        assert_ne!(next, stream);
        assert_eq!(announced, map(&[("db", at(1))]));
    }
}

#[test]
fn frames_that_mean_nothing_here_are_passed_over() {
    let (mut scene, stream) = Scene::following(&[]);
    let (db, txid) = (name("db"), Txid::new(5));
    for frame in [Frame::DropDatabase { database: db.clone() }, Frame::HighWater { txid, database: db }] {
        assert_eq!(scene.tell(Event::Frame { stream, frame }), [Effect::Read(stream)]);
    }
}

#[test]
fn own_transaction_that_comes_back_is_read_and_forgotten() {
    let (mut scene, stream) = Scene::following(&[("db", at(3))]);
    let header = header(OURS, 3, 3, 20);
    let effects = scene.tell(Event::Header { stream, database: name("db"), header });
    assert_eq!(effects, [Effect::ReadBody { stream, keep: None }]);
    assert_eq!(scene.tell(Event::Body { stream, body: Body::Skipped }), [Effect::Read(stream)]);
}

#[test]
fn snapshot_in_the_place_of_other_data_says_what_it_replaces() {
    let (mut scene, stream) = Scene::following(&[("db", at(9))]);
    let (delivery, effects) = scene.receive_sized(stream, "db", header(THEIRS, 1, 4, 0), 40, 100);
    let Some(Effect::Apply(application)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(application.delivery, delivery);
    assert_eq!(application.replaces, Some(Replaces { local: at(9), diverged: true }));
    assert!(scene.note().starts_with("receiving a snapshot of db at transaction 0000000000000004"));
}

#[test]
fn transaction_that_does_not_follow_reconnects_and_the_second_time_asks_for_a_snapshot() {
    let (mut scene, stream) = Scene::following(&[("db", at(3))]);
    let stray = Event::Header { stream, database: name("db"), header: header(THEIRS, 6, 6, 50) };
    assert_eq!(scene.tell(stray), [Effect::Close(stream)]);
    assert!(scene.note().starts_with("position mismatch on db \"db\": "), "{}", scene.note());
    let asked = scene.wake_up();
    let (stream, announced) = scene.reconnecting(&asked, &[("db", at(3))]);
    assert_eq!(announced, map(&[("db", at(3))]));
    scene.tell(Event::Connected { stream, cluster: Some(cluster(1)) });
    scene.tell(Event::Header { stream, database: name("db"), header: header(THEIRS, 6, 6, 50) });
    let asked = scene.wake_up();
    let (_, announced) = scene.reconnecting(&asked, &[("db", at(3))]);
    assert_eq!(announced, map(&[("db", Position::ZERO)]));
}

#[test]
fn node_without_a_cluster_joins_that_of_its_primary_before_it_reads() {
    let mut scene = Scene::finding();
    scene.lease(LeaseReply::Primary(upstream()));
    scene.tell(Event::RoleTaken);
    let (stream, _) = scene.connecting(&[]);
    let joined = scene.tell(Event::Connected { stream, cluster: Some(cluster(5)) });
    assert_eq!(joined, [Effect::StoreCluster(cluster(5))]);
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(5)))), [Effect::Read(stream)]);
    scene.tell(Event::Ended { stream, orderly: true });
    // From now on it follows nobody else.
    let asked = scene.wake_up();
    let (stream, _) = scene.reconnecting(&asked, &[]);
    let refused = scene.tell(Event::Connected { stream, cluster: Some(cluster(6)) });
    assert_eq!(refused, [Effect::Close(stream)]);
    assert_eq!(
        scene.note(),
        "cannot stream from primary with a different cluster id: the primary has LFSC0000000000000006, this node has LFSC0000000000000005"
    );
}

#[test]
fn node_with_a_cluster_does_not_follow_a_primary_without_one() {
    let mut scene = Scene::of(Some(cluster(1)));
    scene.find();
    scene.lease(LeaseReply::Primary(upstream()));
    scene.tell(Event::RoleTaken);
    let (stream, _) = scene.connecting(&[]);
    assert_eq!(scene.tell(Event::Connected { stream, cluster: None }), [Effect::Close(stream)]);
    assert!(scene.note().ends_with("the primary has none, this node has LFSC0000000000000001"));
    // Neither has one: a cluster is founded only by a primary.
    let mut scene = Scene::finding();
    scene.lease(LeaseReply::Primary(upstream()));
    scene.tell(Event::RoleTaken);
    let (stream, _) = scene.connecting(&[]);
    assert_eq!(scene.tell(Event::Connected { stream, cluster: None }), [Effect::Read(stream)]);
}

#[test]
fn cluster_that_was_stored_for_an_earlier_stream_is_the_one_that_counts() {
    let mut scene = Scene::finding();
    scene.lease(LeaseReply::Primary(upstream()));
    scene.tell(Event::RoleTaken);
    let (first, _) = scene.connecting(&[]);
    scene.tell(Event::Connected { stream: first, cluster: Some(cluster(5)) });
    scene.tell(Event::Ended { stream: first, orderly: false });
    let asked = scene.wake_up();
    let (second, _) = scene.reconnecting(&asked, &[]);
    scene.tell(Event::Connected { stream: second, cluster: Some(cluster(6)) });
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(5)))), [Effect::Close(second)]);
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(5)))), []);
}

#[test]
fn cluster_id_that_cannot_be_stored_ends_the_stream() {
    let mut scene = Scene::finding();
    scene.lease(LeaseReply::Primary(upstream()));
    scene.tell(Event::RoleTaken);
    let (stream, _) = scene.connecting(&[]);
    scene.tell(Event::Connected { stream, cluster: Some(cluster(5)) });
    assert_eq!(scene.tell(Event::ClusterStored(None)), [Effect::Close(stream)]);
    assert_eq!(scene.note(), "cannot store the cluster id");
}

#[test]
fn what_comes_from_a_stream_that_is_over_is_not_taken() {
    let (mut scene, old) = Scene::following(&[("db", at(1))]);
    scene.tell(Event::Ended { stream: old, orderly: true });
    let asked = scene.wake_up();
    let (new, _) = scene.reconnecting(&asked, &[("db", at(1))]);
    let header = header(THEIRS, 2, 2, 10);
    let arrived = crate::node::Arrived { header, pages: 1, post_apply: crate::Checksum::new(20), size: 100 };
    let delivery = Delivery(99);
    let late = [
        Event::Connected { stream: old, cluster: Some(cluster(2)) },
        Event::Frame { stream: old, frame: Frame::End },
        Event::Header { stream: old, database: name("db"), header },
        Event::Body { stream: old, body: Body::Skipped },
        Event::Ended { stream: old, orderly: true },
        Event::Positions(map(&[])),
    ];
    for event in late {
        assert_eq!(scene.tell(event.clone()), [], "{event:?}");
    }
    let kept = Event::Body { stream: old, body: Body::Kept { delivery, arrived } };
    assert_eq!(scene.tell(kept), [Effect::Discard(delivery)]);
    let read = scene.tell(Event::Connected { stream: new, cluster: Some(cluster(1)) });
    assert_eq!(read, [Effect::Read(new)]);
}
