//! Nodes under a static lease.

use std::time::Duration;

use litefs_core::database::Authority;
use litefs_core::node::{LeaseReply, LeaseRequest};
use litefs_net::{Host, Lease, Limits, Member, PrimaryInfo, Role, StaticLease, Stopper};

use crate::fake_host::FakeHost;
use crate::node::{Node, eventually, follow};

#[tokio::test(flavor = "multi_thread")]
async fn static_primary_is_primary_until_it_stops() {
    let host = FakeHost::replica();
    let (stopper, stop) = Stopper::new();
    let member = Member::new(host.clone(), StaticLease::primary(), &[], Duration::from_millis(20));
    let member = tokio::spawn(member.run(stop));
    eventually("it is primary", || host.standing().borrow().role.is_primary()).await;
    eventually("it is ready", || host.standing().borrow().ready).await;
    assert_eq!(host.authority(), Authority::Forever);
    assert!(host.identity().cluster_id.is_some(), "it founds a cluster");
    drop(stopper);
    member.await.unwrap();
    assert_eq!(host.standing().borrow().role, Role::Searching, "a node that stopped does not take writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn static_replica_knows_its_primary_whether_or_not_it_is_there() {
    let info = PrimaryInfo { hostname: "nodea".into(), url: "http://127.0.0.1:1".into() };
    let lease = StaticLease::replica_of(info.clone());
    let found = lease.ask(LeaseRequest::FindOrAcquire).await.unwrap();
    assert_eq!(found, LeaseReply::Primary(info.clone()));
    assert_eq!(lease.handoff().unwrap_err().to_string(), "static lease does not support handoff");
    let host = FakeHost::replica();
    let (stopper, member) = follow(&host, info.clone());
    eventually("it is a replica", || host.standing().borrow().role == Role::Replica(info.clone())).await;
    assert!(!host.standing().borrow().ready);
    stopper.stop();
    member.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn promoting_a_static_replica_is_refused_by_its_primary() {
    let primary = FakeHost::primary();
    let node = Node::start(&primary).await;
    let candidate = FakeHost::new(0xB, true);
    let lease = StaticLease::replica_of(node.info());
    let follower = Node::start_under(&candidate, lease, "127.0.0.1:0", Limits::default()).await;
    eventually("it follows", || candidate.standing().borrow().ready).await;
    let error = follower.client().promote().await.unwrap_err();
    assert_eq!(error.to_string(), "handoff failed: cannot handoff: static lease does not support handoff");
}

#[tokio::test(flavor = "multi_thread")]
async fn lease_is_renewed_until_it_is_lost_and_taken_again_when_it_can_be() {
    let host = FakeHost::primary();
    let _node = Node::start(&host).await;
    let first = host.authority();
    assert!(matches!(first, Authority::Until(_)), "{first:?}");
    eventually("the lease is renewed", || host.authority() != first).await;
    assert!(matches!(host.authority(), Authority::Until(_)));
    host.lose_lease();
    eventually("it steps down", || host.standing().borrow().role == Role::Searching).await;
    assert_eq!(host.authority(), Authority::ReadOnly);
    host.grant_lease();
    eventually("it is primary again", || host.standing().borrow().role == Role::Primary).await;
}
