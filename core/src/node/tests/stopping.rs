use alloc::string::ToString;

use super::scene::*;
use crate::node::LeaseRequest::Release;
use crate::node::{Effect, Event, LeaseReply, Role};

#[test]
fn node_that_waits_stops_at_once() {
    let mut scene = Scene::finding();
    scene.lease(failed());
    assert_eq!(scene.tell(Event::Stop), [Effect::Stopped]);
    assert_eq!(scene.tell(Event::Tick), [], "once");
    assert_eq!(scene.wake, None);
}

#[test]
fn node_that_asks_waits_for_the_answer_and_does_not_act_on_it() {
    for reply in [LeaseReply::Cluster(None), LeaseReply::Cluster(Some(cluster(2))), failed()] {
        let mut scene = Scene::new();
        scene.tell(Event::Tick);
        assert_eq!(scene.tell(Event::Stop), []);
        assert_eq!(scene.lease(reply), [Effect::Stopped]);
    }
    for reply in [LeaseReply::Primary(upstream()), LeaseReply::NoPrimary, failed()] {
        let mut scene = Scene::finding();
        assert_eq!(scene.tell(Event::Stop), []);
        assert_eq!(scene.lease(reply), [Effect::Stopped]);
    }
}

#[test]
fn lease_that_is_granted_to_a_node_that_stops_is_given_back() {
    let mut scene = Scene::finding();
    scene.tell(Event::Stop);
    assert_eq!(scene.lease(held()), [ask(3, Release)]);
    assert_eq!(scene.lease(LeaseReply::Released), [Effect::Stopped]);
}

#[test]
fn node_stops_while_it_founds_its_cluster_or_takes_the_role() {
    for reply in [LeaseReply::Cluster(Some(cluster(1))), LeaseReply::Cluster(Some(cluster(2))), failed()] {
        let mut scene = Scene::claiming();
        assert_eq!(scene.tell(Event::Stop), []);
        assert_eq!(scene.wake, None, "only the answer is awaited");
        assert_eq!(scene.lease(reply), [ask(4, Release)]);
        assert_eq!(scene.lease(LeaseReply::Released), [Effect::Stopped]);
    }

    let mut scene = Scene::founding();
    assert_eq!(scene.tell(Event::Stop), []);
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(1)))), [ask(4, Release)]);
    assert_eq!(scene.lease(failed()), [Effect::Stopped]);

    let mut scene = Scene::founding();
    scene.tell(Event::ClusterStored(Some(cluster(1))));
    assert_eq!(scene.tell(Event::Stop), []);
    assert_eq!(scene.tell(Event::RoleTaken), [take_searching()]);
    assert_eq!(scene.tell(Event::RoleTaken), [ask(4, Release)]);
    assert_eq!(scene.lease(LeaseReply::Released), [Effect::Stopped]);
}

#[test]
fn primary_takes_no_writes_any_more_before_it_gives_the_lease_back() {
    let mut scene = Scene::primary();
    assert_eq!(scene.tell(Event::Stop), [take_searching()]);
    assert_eq!(scene.tell(Event::RoleTaken), [ask(4, Release)]);
    assert_eq!(scene.node.role(), &Role::Searching);
    assert_eq!(scene.lease(LeaseReply::Released), [Effect::Stopped]);
    assert!(!scene.notes.iter().any(|note| note.to_string() == "primary lease lost"));
}

#[test]
fn replica_closes_its_stream_and_waits_for_what_is_being_applied() {
    let (mut scene, stream) = Scene::following(&[("db", at(1))]);
    let (first, _) = scene.receive(stream, "db", at(1));
    let (second, _) = scene.receive(stream, "db", at(2));
    assert_eq!(scene.tell(Event::Stop), [Effect::Close(stream), Effect::Discard(second)]);
    assert_eq!(scene.wake, None, "there is no time to wait for");
    assert_eq!(scene.applied(first, at(2)), [Effect::Stopped]);
    assert_eq!(scene.node.role(), &Role::Replica(upstream()));
}

#[test]
fn replica_stops_before_its_stream_is_there() {
    // While the role is taken.
    let mut scene = Scene::finding();
    scene.lease(LeaseReply::Primary(upstream()));
    assert_eq!(scene.tell(Event::Stop), []);
    assert_eq!(scene.tell(Event::RoleTaken), [Effect::Stopped]);
    // While it looks at its positions, which are of no use then.
    let (mut scene, stream) = Scene::following(&[]);
    scene.tell(Event::Ended { stream, orderly: true });
    let asked = scene.wake_up();
    scene.compared(&asked);
    assert_eq!(scene.lease(LeaseReply::Primary(upstream())), [Effect::LookAtPositions]);
    assert_eq!(scene.tell(Event::Stop), [Effect::Stopped]);
    assert_eq!(scene.tell(Event::Positions(map(&[]))), []);
    // While it connects, or stores the cluster of its primary.
    let mut scene = Scene::finding();
    scene.lease(LeaseReply::Primary(upstream()));
    scene.tell(Event::RoleTaken);
    let (stream, _) = scene.connecting(&[]);
    let joined = scene.tell(Event::Connected { stream, cluster: Some(cluster(1)) });
    assert_eq!(joined, [Effect::StoreCluster(cluster(1))]);
    assert_eq!(scene.tell(Event::Stop), [Effect::Close(stream), Effect::Stopped]);
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(1)))), []);
}
