use super::scene::*;
use crate::database::Authority::Until;
use crate::node::LeaseRequest::{ClusterId, Release, Renew};
use crate::node::{Effect, Event, LeaseReply, Role};

#[test]
fn primary_renews_its_lease_and_its_databases_may_commit_for_longer() {
    let mut scene = Scene::primary();
    assert_eq!(scene.wake, Some(10 * SECOND));
    assert_eq!(scene.at(10 * SECOND - 1), []);
    assert_eq!(scene.at(10 * SECOND), [ask(4, Renew)]);
    scene.now += SECOND;
    assert_eq!(
        scene.lease(held()),
        [Effect::Authorize(Until(37 * SECOND))],
        "counted from when it was asked"
    );
    assert_eq!(scene.wake, Some(20 * SECOND));
}

#[test]
fn renewal_that_fails_is_tried_again_until_the_lease_runs_out() {
    let mut scene = Scene::primary();
    scene.at(10 * SECOND);
    assert_eq!(scene.lease(failed()), []);
    assert_eq!(scene.note(), "cannot renew the primary lease: no route; writes go on for 17000 ms");
    assert_eq!(scene.wake_up(), [ask(5, Renew)]);
    assert_eq!(scene.now, 13 * SECOND);
    // The service does not answer any more.
    assert_eq!(scene.wake, Some(END));
    assert_eq!(scene.wake_up(), [take_searching()]);
    assert_eq!(scene.note(), "primary lease lost");
    assert_eq!(scene.tell(Event::RoleTaken), [], "one request at a time");
    assert_eq!(scene.lease(failed()), [ask(6, Release)]);
    assert_eq!(scene.lease(failed()), []);
    assert_eq!(scene.wake_up(), [ask(7, ClusterId)]);
}

#[test]
fn lease_that_was_lost_is_not_given_back() {
    let mut scene = Scene::primary();
    scene.at(10 * SECOND);
    assert_eq!(scene.lease(LeaseReply::Lost), [take_searching()]);
    assert_eq!(scene.tell(Event::RoleTaken), []);
    assert_eq!(scene.node.role(), &Role::Searching);
    assert_eq!(scene.wake_up(), [ask(5, ClusterId)]);
}

#[test]
fn lease_renewed_too_late_is_given_back() {
    let mut scene = Scene::primary();
    scene.at(10 * SECOND);
    assert_eq!(scene.at(END), [take_searching()]);
    assert_eq!(scene.lease(held()), []);
    assert_eq!(scene.tell(Event::RoleTaken), [ask(5, Release)]);
    // With the answer on its way when the role is gone, too: it is not that to the release.
    let mut scene = Scene::primary();
    scene.at(10 * SECOND);
    scene.at(END);
    assert_eq!(scene.tell(Event::RoleTaken), []);
    assert_eq!(scene.lease(held()), [ask(5, Release)]);
    assert_eq!(scene.lease(LeaseReply::Released), []);
}

#[test]
fn lease_that_runs_out_on_the_way_makes_nobody_primary() {
    // While the primary before is applied.
    let mut scene = Scene::finding();
    scene.now = END;
    assert_eq!(scene.lease(held()), [ask(3, Release)]);
    // While the service is asked to belong to the cluster.
    let mut scene = Scene::claiming();
    assert_eq!(scene.wake, None, "only the answer is awaited");
    assert_eq!(scene.at(END), [], "one request at a time");
    assert_eq!(scene.lease(LeaseReply::Cluster(Some(cluster(1)))), [ask(4, Release)]);
    // While the cluster is stored.
    let mut scene = Scene::founding();
    scene.now = END;
    let effects = scene.tell(Event::ClusterStored(Some(cluster(1))));
    assert_eq!(effects, [ask(4, Release)]);
    // While the role is taken.
    let mut scene = Scene::founding();
    scene.tell(Event::ClusterStored(Some(cluster(1))));
    assert_eq!(scene.at(10 * SECOND), [ask(4, Renew)]);
    assert_eq!(scene.at(END), [], "what is under way is awaited");
    assert_eq!(scene.tell(Event::RoleTaken), [take_searching()]);
    assert_eq!(scene.tell(Event::RoleTaken), []);
    assert_eq!(scene.lease(failed()), [ask(5, Release)]);
}

#[test]
fn lease_is_renewed_while_the_cluster_is_stored_and_the_role_is_taken() {
    let mut scene = Scene::founding();
    assert_eq!(scene.wake_up(), [ask(4, Renew)]);
    scene.tell(Event::ClusterStored(Some(cluster(1))));
    assert_eq!(scene.lease(held()), []);
    let later = Until(37 * SECOND);
    assert_eq!(scene.tell(Event::RoleTaken), [Effect::Authorize(later), Effect::Ready]);
}

#[test]
fn lease_is_renewed_right_after_a_claim_that_took_long() {
    let mut scene = Scene::claiming();
    scene.now = END - 1;
    let founding = scene.lease(LeaseReply::Cluster(Some(cluster(1))));
    assert_eq!(founding, [Effect::StoreCluster(cluster(1)), ask(4, Renew)]);
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(1)))), [take_primary(Until(END))]);
}

#[test]
fn claim_waits_for_a_renewal_that_is_under_way() {
    let (mut scene, stream) = Scene::following(&[("db", at(1))]);
    let (delivery, _) = scene.receive(stream, "db", at(1));
    scene.tell(Event::Ended { stream, orderly: true });
    let asked = scene.wake_up();
    scene.compared(&asked);
    assert_eq!(scene.lease(held()), []);
    let renewed = scene.asked + 1;
    assert_eq!(scene.wake_up(), [ask(renewed, Renew)]);
    assert_eq!(scene.applied(delivery, at(2)), [], "one request at a time");
    let claim = scene.lease(held());
    scene.claimed(&claim);
}

#[test]
fn late_answers_of_the_lease_service_are_not_taken() {
    let mut scene = Scene::primary();
    assert_eq!(scene.tell(Event::Lease { number: 3, reply: LeaseReply::Lost }), []);
    scene.at(10 * SECOND);
    assert_eq!(scene.tell(Event::Lease { number: 3, reply: LeaseReply::Lost }), []);
    assert_eq!(scene.tell(Event::Lease { number: 99, reply: LeaseReply::Lost }), []);
    assert_eq!(scene.node.role(), &Role::Primary);
    assert_eq!(scene.lease(held()), [Effect::Authorize(Until(37 * SECOND))]);
    assert_eq!(scene.lease(LeaseReply::Lost), [], "an answer counts once");
}
