use alloc::vec;
use alloc::vec::Vec;

use super::scene::*;
use crate::database::Authority::Until;
use crate::node::{Effect, Event, LtxToSend, SentLtx, StreamId};
use crate::stream::Frame;
use crate::{Checksum, Position, Txid};

fn subscribe(
    scene: &mut Scene,
    theirs: &[(&str, Position)],
    ours: &[(&str, Position)],
) -> (StreamId, Vec<Effect>) {
    let stream = scene.node.new_stream();
    let event = Event::Subscribed { stream, theirs: map(theirs), filter: None, ours: map(ours) };
    (stream, scene.tell(event))
}

fn transaction(database: &str, from: Position) -> LtxToSend {
    LtxToSend::Transaction { database: name(database), txid: from.txid.next(), pre_apply: from.checksum }
}

fn send(stream: StreamId, frames: Vec<Frame>, ltx: Option<LtxToSend>) -> Effect {
    Effect::Send { stream, frames, ltx }
}

fn sent(stream: StreamId, position: Position) -> Event {
    Event::Sent { stream, ltx: SentLtx::Sent(position) }
}

#[test]
fn replica_gets_what_it_lacks_then_hears_each_second_that_it_has_everything() {
    let mut scene = Scene::primary();
    let (stream, effects) = subscribe(&mut scene, &[("db", at(1)), ("gone", at(1))], &[("db", at(2))]);
    let unknown = Frame::DropDatabase { database: name("gone") };
    assert_eq!(effects, [send(stream, vec![unknown], Some(transaction("db", at(1))))]);
    assert_eq!(scene.tell(Event::Tick), [], "one message at a time");
    let heartbeat = |timestamp_ms| Frame::Heartbeat { timestamp_ms };
    assert_eq!(scene.tell(sent(stream, at(2))), [send(stream, vec![Frame::Ready, heartbeat(0)], None)]);
    assert_eq!(scene.tell(Event::Sent { stream, ltx: SentLtx::None }), []);
    assert_eq!(scene.wake, Some(SECOND));
    assert_eq!(scene.wake_up(), [send(stream, vec![heartbeat(1000)], None)]);
}

#[test]
fn commit_is_sent_as_soon_as_it_is_durable_and_the_message_before_is_on_its_way() {
    let mut scene = Scene::primary();
    let (stream, _) = subscribe(&mut scene, &[], &[]);
    scene.tell(Event::Sent { stream, ltx: SentLtx::None });
    let durable = |position| Event::Durable { database: name("db"), position };
    let snapshot = LtxToSend::Snapshot { database: name("db") };
    assert_eq!(scene.tell(durable(at(1))), [send(stream, vec![], Some(snapshot))]);
    assert_eq!(scene.tell(durable(at(2))), []);
    assert_eq!(scene.tell(durable(at(3))), []);
    assert_eq!(scene.tell(sent(stream, at(1))), [send(stream, vec![], Some(transaction("db", at(1))))]);
    assert_eq!(scene.tell(durable(at(1))), [], "that is old");
    assert_eq!(scene.tell(sent(stream, at(2))), [send(stream, vec![], Some(transaction("db", at(2))))]);
    assert_eq!(scene.tell(sent(stream, at(3))), [], "the next heartbeat is due in a second");
}

#[test]
fn high_water_mark_follows_a_transaction_and_keeps_the_connection_alive() {
    let mark = Frame::HighWater { txid: Txid::ZERO, database: name("db") };
    let snapshot = LtxToSend::Snapshot { database: name("db") };
    assert_eq!(transaction("db", at(1)).followed_by(), Some(mark.clone()));
    assert_eq!(snapshot.followed_by(), None);
    assert_eq!(snapshot.keep_alive(), mark);
}

#[test]
fn transaction_the_log_does_not_have_is_replaced_by_a_snapshot() {
    let mut scene = Scene::primary();
    let (stream, _) = subscribe(&mut scene, &[("db", at(1))], &[("db", at(9))]);
    let snapshot = LtxToSend::Snapshot { database: name("db") };
    let missing = Event::Sent { stream, ltx: SentLtx::Missing };
    assert_eq!(scene.tell(missing), [send(stream, vec![], Some(snapshot))]);
}

#[test]
fn replicas_are_sent_to_independently() {
    let mut scene = Scene::primary();
    let (slow, _) = subscribe(&mut scene, &[("db", at(1))], &[("db", at(2))]);
    let (fast, effects) = subscribe(&mut scene, &[("db", at(2))], &[("db", at(2))]);
    assert_eq!(effects.len(), 1);
    assert_eq!(scene.tell(Event::Sent { stream: fast, ltx: SentLtx::None }), []);
    let durable = Event::Durable { database: name("db"), position: at(3) };
    assert_eq!(scene.tell(durable), [send(fast, vec![], Some(transaction("db", at(2))))]);
    assert_eq!(scene.tell(sent(slow, at(2))), [send(slow, vec![], Some(transaction("db", at(2))))]);
}

#[test]
fn replica_that_left_is_sent_nothing_more() {
    let mut scene = Scene::primary();
    let (stream, _) = subscribe(&mut scene, &[("db", at(1))], &[("db", at(2))]);
    assert_eq!(scene.tell(Event::Ended { stream, orderly: false }), []);
    let late = [sent(stream, at(2)), Event::Ended { stream, orderly: false }];
    for event in late {
        assert_eq!(scene.tell(event), []);
    }
    assert_eq!(scene.tell(Event::Durable { database: name("db"), position: at(3) }), []);
    assert_eq!(scene.wake, Some(10 * SECOND), "only the lease is left to look after");
}

#[test]
fn primary_that_steps_down_ends_its_streams_within_an_ltx_file_too() {
    let mut scene = Scene::primary();
    let (busy, _) = subscribe(&mut scene, &[("db", at(1))], &[("db", at(2))]);
    let (idle, _) = subscribe(&mut scene, &[], &[]);
    scene.tell(Event::Sent { stream: idle, ltx: SentLtx::None });
    scene.at(10 * SECOND);
    scene.tell(Event::Sent { stream: idle, ltx: SentLtx::None });
    let effects = scene.lease(crate::node::LeaseReply::Lost);
    assert_eq!(effects, [Effect::Finish(busy), Effect::Finish(idle), take_searching()]);
    assert_eq!(scene.tell(sent(busy, at(2))), []);
    assert_eq!(scene.tell(Event::Durable { database: name("db"), position: at(3) }), []);
}

#[test]
fn node_that_is_not_primary_sends_to_nobody() {
    let mut scene = Scene::finding();
    let (stream, effects) = subscribe(&mut scene, &[], &[("db", at(1))]);
    assert_eq!(effects, [Effect::Finish(stream)]);
    let claim = scene.lease(held());
    scene.claimed(&claim);
    assert_eq!(scene.tell(Event::ClusterStored(Some(cluster(1)))), [take_primary(Until(END))]);
    let (stream, effects) = subscribe(&mut scene, &[], &[("db", at(1))]);
    assert_eq!(effects, [Effect::Finish(stream)], "nor while it takes the role");
}

#[test]
fn replica_that_diverged_gets_a_snapshot() {
    let mut scene = Scene::primary();
    let elsewhere = Position { checksum: Checksum::new(1), ..at(2) };
    let (stream, effects) = subscribe(&mut scene, &[("db", elsewhere)], &[("db", at(2))]);
    assert_eq!(effects, [send(stream, vec![], Some(LtxToSend::Snapshot { database: name("db") }))]);
}
