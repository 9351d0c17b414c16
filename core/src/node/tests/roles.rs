use alloc::collections::BTreeSet;
use alloc::vec;

use super::scene::*;
use crate::database::Authority::{Forever, ReadOnly, Until};
use crate::node::LeaseRequest::{ClusterId, FindOrAcquire, Release};
use crate::node::{Effect, Event, LeaseReply, Options, PrimaryInfo, Role};

#[test]
fn primary_founds_its_cluster_then_takes_the_role_then_is_ready() {
    let mut scene = Scene::new();
    assert_eq!(scene.tell(Event::Tick), [ask(1, ClusterId)]);
    assert_eq!(scene.lease(LeaseReply::Cluster(None)), [ask(2, FindOrAcquire)]);
    let claimed = scene.lease(held());
    scene.claimed(&claimed);
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(1)))), [take_primary(Until(END))]);
    assert_eq!(scene.node.role(), &Role::Searching, "the databases are not there yet");
    assert_eq!(scene.tell(Event::RoleTaken { ready: true }), [Effect::Authorize(Until(END)), Effect::Ready]);
    assert_eq!(scene.node.role(), &Role::Primary);
    assert_eq!(scene.note(), "primary lease acquired");
}

#[test]
fn lease_without_end_is_never_renewed() {
    let mut scene = Scene::finding();
    let claimed = scene.lease(LeaseReply::Held { ttl: None });
    scene.claimed(&claimed);
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(1)))), [take_primary(Forever)]);
    assert_eq!(scene.tell(Event::RoleTaken { ready: true }), [Effect::Authorize(Forever), Effect::Ready]);
    assert_eq!(scene.wake, None);
    assert_eq!(scene.at(u64::MAX), []);
}

#[test]
fn what_the_primary_before_sent_is_applied_before_this_node_is_primary() {
    let (mut scene, stream) = Scene::following(&[("db", at(1))]);
    let (first, effects) = scene.receive(stream, "db", at(1));
    assert_eq!(effects, [apply(first, "db"), Effect::Read(stream)]);
    let (second, effects) = scene.receive(stream, "db", at(2));
    assert_eq!(effects, [Effect::Read(stream)]);
    scene.tell(Event::Ended { stream, orderly: true });
    let asked = scene.wake_up();
    scene.compared(&asked);
    assert_eq!(scene.lease(held()), [Effect::Discard(second)]);
    let claimed = scene.applied(first, at(2));
    scene.claimed(&claimed);
}

#[test]
fn cluster_id_that_cannot_be_stored_gives_the_lease_back_for_a_while() {
    let mut scene = Scene::founding();
    assert_eq!(scene.tell(Event::ClusterStored(None)), [ask(4, Release)]);
    assert_eq!(scene.note(), "cannot store the cluster id");
    assert_eq!(scene.lease(LeaseReply::Released), []);
    assert!(scene.wake.unwrap() >= SECOND * 3 / 4, "not again at once");
    let asked = scene.wake_up();
    scene.compared(&asked);
}

#[test]
fn node_that_may_not_be_primary_searches_until_there_is_one() {
    let mut scene = Scene::finding();
    assert_eq!(scene.lease(LeaseReply::NoPrimary), [], "it is searching already");
    let asked = scene.wake_up();
    scene.compared(&asked);
    let role = Role::Replica(upstream());
    let taken = Effect::TakeRole { role: role.clone(), authority: ReadOnly };
    assert_eq!(scene.lease(LeaseReply::Primary(upstream())), [taken]);
    assert_eq!(
        scene.note(),
        "existing primary found (nodea), connecting as replica to \"http://nodea:20202\""
    );
    assert_eq!(scene.tell(Event::RoleTaken { ready: true }), [Effect::LookAtPositions]);
    assert_eq!(scene.node.role(), &role);
    let (stream, _) = scene.connecting(&[]);
    scene.tell(Event::Ended { stream, orderly: false });
    let asked = scene.wake_up();
    scene.compared(&asked);
    assert_eq!(scene.lease(LeaseReply::NoPrimary), [take_searching()]);
    assert_eq!(scene.tell(Event::RoleTaken { ready: true }), []);
    assert!(scene.wake.is_some());
}

#[test]
fn role_is_taken_once_for_each_primary() {
    let (mut scene, stream) = Scene::following(&[]);
    scene.tell(Event::Ended { stream, orderly: true });
    let asked = scene.wake_up();
    scene.compared(&asked);
    assert_eq!(scene.lease(LeaseReply::Primary(upstream())), [Effect::LookAtPositions]);
    let (stream, _) = scene.connecting(&[]);
    scene.tell(Event::Ended { stream, orderly: true });
    let asked = scene.wake_up();
    scene.compared(&asked);
    let other = PrimaryInfo { hostname: "nodeb".into(), url: "http://nodeb:20202".into() };
    let role = Role::Replica(other.clone());
    let taken = Effect::TakeRole { role, authority: ReadOnly };
    assert_eq!(scene.lease(LeaseReply::Primary(other)), [taken]);
    assert_eq!(scene.tell(Event::Tick), [], "one role at a time");
    assert_eq!(scene.tell(Event::RoleTaken { ready: true }), [Effect::LookAtPositions]);
    assert_eq!(scene.tell(Event::RoleTaken { ready: true }), [], "an answer counts once");
}

#[test]
fn lease_service_of_another_cluster_is_not_used() {
    let mut scene = Scene::of(Some(cluster(1)));
    scene.tell(Event::Tick);
    assert_eq!(scene.lease(LeaseReply::Cluster(Some(cluster(2)))), []);
    assert_eq!(
        scene.note(),
        "cannot connect, lease already initialized with different ID: LFSC0000000000000002, this node has LFSC0000000000000001"
    );
    let asked = scene.wake_up();
    assert_eq!(asked, [ask(2, ClusterId)]);
    assert_eq!(scene.lease(LeaseReply::Cluster(Some(cluster(1)))), [ask(3, FindOrAcquire)]);
}

#[test]
fn lease_service_that_fails_or_says_nonsense_is_asked_again_later() {
    for first in [failed(), LeaseReply::Released] {
        let mut scene = Scene::new();
        scene.tell(Event::Tick);
        assert_eq!(scene.lease(first), []);
        assert!(scene.note().starts_with("cannot ask for the primary: "), "{}", scene.note());
        let asked = scene.wake_up();
        scene.compared(&asked);
        assert_eq!(scene.lease(failed()), []);
        assert_eq!(scene.note(), "cannot ask for the primary: no route");
        let asked = scene.wake_up();
        scene.compared(&asked);
    }
}

#[test]
fn delays_are_a_quarter_more_or_less_and_differ() {
    let mut delays = BTreeSet::new();
    for seed in 0..20 {
        let mut scene = Scene::new();
        let options = Options { node_id: OURS, reconnect_delay: core::time::Duration::from_secs(1), seed };
        scene.node = crate::node::Node::new(options, None);
        for reply in vec![failed(); 5] {
            scene.tell(Event::Tick);
            scene.lease(reply);
            let delay = scene.wake.unwrap() - scene.now;
            assert!((SECOND * 3 / 4..=SECOND * 5 / 4).contains(&delay), "{delay}");
            delays.insert(delay);
            scene.now = scene.wake.unwrap();
        }
    }
    assert!(delays.len() > 90, "only {} of 100 delays differ", delays.len());
}

#[test]
fn node_whose_databases_cannot_be_written_gives_the_lease_back_and_tries_again_later() {
    let mut scene = Scene::finding();
    let claimed = scene.lease(held());
    scene.claimed(&claimed);
    scene.tell(Event::ClusterStored(Some(cluster(1))));
    let searching = Effect::TakeRole { role: Role::Searching, authority: ReadOnly };
    assert_eq!(scene.tell(Event::RoleTaken { ready: false }), [searching]);
    let released = scene.tell(Event::RoleTaken { ready: true });
    assert!(matches!(released[..], [Effect::Lease { request: Release, .. }]), "{released:?}");
    assert_eq!(scene.lease(LeaseReply::Released), []);
    let asked = scene.wake_up();
    assert!(matches!(asked[..], [Effect::Lease { request: ClusterId, .. }]), "{asked:?}");
}
