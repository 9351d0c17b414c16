//! Replicas of a running primary.

use litefs_core::{ClusterId, Position};
use litefs_net::{Host, Limits, Replaces, Role};

use crate::fake_host::{FakeHost, PAGE, name};
use crate::node::{Node, eventually, follow};

/// Waits until the replica has what the primary has.
async fn caught_up(primary: &FakeHost, replica: &FakeHost) {
    eventually("the replica is where the primary is", || replica.positions() == primary.positions()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_gets_every_database_and_every_commit() {
    let (primary, replica) = (FakeHost::primary(), FakeHost::replica());
    primary.commit("old", &[(1, 1), (2, 2)]);
    let node = Node::start(&primary).await;
    let (stopper, member) = follow(&replica, node.info());
    eventually("the replica is ready", || replica.standing().borrow().ready).await;
    caught_up(&primary, &replica).await;
    assert_eq!(replica.identity().cluster_id, Some(ClusterId::new(1)), "it joins the cluster of its primary");
    assert_eq!(replica.standing().borrow().role, Role::Replica(node.info()));
    primary.commit("old", &[(2, 3)]);
    primary.commit("new", &[(1, 4)]);
    primary.drop_database("old");
    caught_up(&primary, &replica).await;
    assert_eq!(replica.page("new", 1).unwrap(), [4; PAGE]);
    assert_eq!(replica.page("old", 1), None);
    assert!(replica.replaced().is_empty());
    stopper.stop();
    member.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_goes_on_where_it_was_when_its_primary_comes_back() {
    let (primary, replica) = (FakeHost::primary(), FakeHost::replica());
    primary.commit("db", &[(1, 1)]);
    let node = Node::start(&primary).await;
    let address = node.address.to_string();
    let (_stopper, _member) = follow(&replica, node.info());
    caught_up(&primary, &replica).await;
    node.stop().await;
    primary.commit("db", &[(1, 2)]);
    primary.commit("db", &[(1, 3)]);
    let _node = Node::start_with(&primary, &address, Limits::default()).await;
    caught_up(&primary, &replica).await;
    assert_eq!(replica.position("db").txid.get(), 3);
    assert_eq!(replica.databases()[&name("db")].log.unwrap().0.get(), 1, "no snapshot was needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_in_the_place_of_other_data_says_so() {
    let (primary, replica) = (FakeHost::primary(), FakeHost::replica());
    primary.commit("db", &[(1, 1)]);
    replica.commit("db", &[(1, 7)]);
    let lost = replica.commit("db", &[(1, 8)]);
    let node = Node::start(&primary).await;
    let (_stopper, _member) = follow(&replica, node.info());
    caught_up(&primary, &replica).await;
    assert_eq!(replica.replaced(), [Replaces { local: lost, diverged: true }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_snapshot_arrives_whole() {
    let (primary, replica) = (FakeHost::primary(), FakeHost::replica());
    // Pages that do not compress, so that the file is larger than what is kept in memory.
    let mut state = 1u32;
    let pages: Vec<_> = (1..=20_000)
        .map(|number| {
            let page = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            });
            (number, page.take(PAGE).collect())
        })
        .collect();
    primary.commit_pages(&name("db"), &pages);
    let large = primary.commit_pages(&name("db"), &pages);
    let node = Node::start(&primary).await;
    let (_stopper, _member) = follow(&replica, node.info());
    caught_up(&primary, &replica).await;
    assert_eq!(replica.position("db"), large);
    let large = primary.commit_pages(&name("db"), &pages);
    caught_up(&primary, &replica).await;
    assert_eq!(replica.position("db"), large, "a large transaction arrives whole, too");
    assert_eq!(replica.page("db", 20_000).as_ref(), pages.last().map(|(_, page)| page));
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_of_a_node_that_is_not_primary_wait_until_it_is() {
    let (primary, replica) = (FakeHost::primary(), FakeHost::replica());
    primary.commit("db", &[(1, 1)]);
    primary.lose_lease();
    let node = Node::start(&primary).await;
    let (_stopper, _member) = follow(&replica, node.info());
    eventually("the replica knows its primary", || replica.standing().borrow().role != Role::Searching).await;
    assert_eq!(replica.position("db"), Position::ZERO);
    primary.grant_lease();
    caught_up(&primary, &replica).await;
}
