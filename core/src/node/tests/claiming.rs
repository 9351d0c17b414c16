use super::scene::*;
use crate::database::Authority::Until;
use crate::node::LeaseRequest::{Claim, ClusterId, FindOrAcquire, Release};
use crate::node::{Effect, Event, LeaseReply};

/// A node of cluster 1 was granted the lease of a service that remembers no cluster.
fn of_cluster_1() -> Scene {
    let mut scene = Scene::of(Some(cluster(1)));
    scene.find();
    assert_eq!(scene.lease(held()), [ask(3, Claim(cluster(1)))]);
    scene
}

/// The cluster that was asked for.
fn wanted(effects: &[Effect]) -> crate::ClusterId {
    match effects {
        [Effect::Lease { request: Claim(id), .. }] => *id,
        other => panic!("{other:?} instead of a claim"),
    }
}

#[test]
fn lease_service_belongs_to_the_cluster_of_the_node_from_now_on() {
    let mut scene = of_cluster_1();
    assert_eq!(scene.lease(LeaseReply::Cluster(Some(cluster(1)))), [Effect::StoreCluster(cluster(1))]);
    assert_eq!(scene.note(), "set cluster id on the lease \"LFSC0000000000000001\"");
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(1)))), [take_primary(Until(END))]);
}

#[test]
fn node_without_a_cluster_draws_one() {
    let mut scene = Scene::finding();
    let first = wanted(&scene.lease(held()));
    assert_eq!(scene.lease(LeaseReply::Cluster(Some(first))), [Effect::StoreCluster(first)]);
    assert_eq!(scene.tell(Event::ClusterStored(Some(first))), [take_primary(Until(END))]);
}

#[test]
fn node_without_a_cluster_takes_over_that_of_the_lease_service() {
    let mut scene = Scene::new();
    scene.tell(Event::Tick);
    assert_eq!(scene.lease(LeaseReply::Cluster(Some(cluster(5)))), [ask(2, FindOrAcquire)]);
    assert_eq!(scene.lease(held()), [ask(3, Claim(cluster(5)))]);
    assert_eq!(scene.lease(LeaseReply::Cluster(Some(cluster(5)))), [Effect::StoreCluster(cluster(5))]);
    assert_eq!(scene.notes, [], "it belonged to it before");
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(5)))), [take_primary(Until(END))]);
}

#[test]
fn node_without_a_cluster_takes_over_that_of_a_node_that_was_quicker() {
    let mut scene = Scene::claiming();
    assert_eq!(scene.lease(LeaseReply::Cluster(Some(cluster(5)))), [Effect::StoreCluster(cluster(5))]);
    assert_eq!(scene.notes, [], "it was not this node that set it");
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(5)))), [take_primary(Until(END))]);
}

#[test]
fn lease_of_another_cluster_is_given_back() {
    let mut scene = of_cluster_1();
    assert_eq!(scene.lease(LeaseReply::Cluster(Some(cluster(2)))), [ask(4, Release)]);
    assert_eq!(
        scene.note(),
        "cannot connect, lease already initialized with different ID: LFSC0000000000000002, this node has LFSC0000000000000001"
    );
    assert_eq!(scene.lease(LeaseReply::Released), []);
    assert!(scene.wake.unwrap() >= SECOND * 3 / 4, "not again at once");
    assert_eq!(scene.wake_up(), [ask(5, ClusterId)]);
}

#[test]
fn lease_is_given_back_if_the_cluster_of_a_primary_before_is_stored_instead() {
    let mut scene = Scene::finding();
    scene.lease(LeaseReply::Primary(upstream()));
    scene.tell(Event::RoleTaken);
    let (stream, _) = scene.connecting(&[]);
    let joining = scene.tell(Event::Connected { stream, cluster: Some(cluster(5)) });
    assert_eq!(joining, [Effect::StoreCluster(cluster(5))]);
    scene.tell(Event::Ended { stream, orderly: true });
    let asked = scene.wake_up();
    scene.compared(&asked);
    let claim = scene.lease(held());
    scene.claimed(&claim);
    let released = scene.asked + 1;
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(5)))), [ask(released, Release)]);
    assert!(scene.note().ends_with("different ID: LFSC0000000000000001, this node has LFSC0000000000000005"));
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(5)))), []);
}

#[test]
fn lease_is_given_back_if_its_service_does_not_say_to_which_cluster_it_belongs() {
    let nonsense = [LeaseReply::Cluster(None), held(), LeaseReply::NoPrimary, LeaseReply::Lost];
    for reply in [failed()].into_iter().chain(nonsense) {
        let mut scene = of_cluster_1();
        assert_eq!(scene.lease(reply), [ask(4, Release)]);
        assert!(scene.note().starts_with("cannot ask for the primary: "), "{}", scene.note());
        assert_eq!(scene.lease(LeaseReply::Released), []);
        assert!(scene.wake.unwrap() >= SECOND * 3 / 4, "not again at once");
        assert_eq!(scene.wake_up(), [ask(5, ClusterId)]);
    }
}

#[test]
fn claim_whose_answer_is_lost_is_found_the_next_time() {
    let mut scene = Scene::finding();
    let first = wanted(&scene.lease(held()));
    scene.lease(failed());
    scene.lease(LeaseReply::Released);
    assert_eq!(scene.wake_up(), [ask(5, ClusterId)]);
    scene.lease(LeaseReply::Cluster(Some(first)));
    assert_eq!(scene.lease(held()), [ask(7, Claim(first))]);
}
