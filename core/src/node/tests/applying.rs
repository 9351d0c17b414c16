use alloc::vec::Vec;

use super::scene::*;
use crate::node::{Body, Delivery, Effect, Event, Refusal, StreamId};
use crate::stream::Frame;
use crate::{Checksum, Position};

fn ready(stream: StreamId) -> Event {
    Event::Frame { stream, frame: Frame::Ready }
}

fn heartbeat(stream: StreamId, timestamp_ms: i64) -> Event {
    Event::Frame { stream, frame: Frame::Heartbeat { timestamp_ms } }
}

fn caught_up(primary_ms: i64) -> Effect {
    Effect::CaughtUp { primary_ms }
}

#[test]
fn transactions_of_one_database_are_applied_one_after_the_other_and_others_beside_them() {
    let (mut scene, stream) = Scene::following(&[("a", at(1)), ("b", at(1))]);
    let (a2, effects) = scene.receive(stream, "a", at(1));
    assert_eq!(effects, [apply(a2, "a"), Effect::Read(stream)]);
    let (a3, effects) = scene.receive(stream, "a", at(2));
    assert_eq!(effects, [Effect::Read(stream)]);
    let (b2, effects) = scene.receive(stream, "b", at(1));
    assert_eq!(effects, [apply(b2, "b"), Effect::Read(stream)]);
    assert_eq!(scene.applied(b2, at(2)), []);
    assert_eq!(scene.applied(a2, at(2)), [apply(a3, "a")]);
    assert_eq!(scene.applied(a2, at(2)), [], "an answer counts once");
    assert_eq!(scene.applied(a3, at(3)), []);
}

#[test]
fn what_the_primary_says_is_true_once_everything_before_it_is_applied() {
    let (mut scene, stream) = Scene::following(&[("a", at(1)), ("b", at(1))]);
    assert_eq!(scene.tell(ready(stream)), [Effect::Ready, Effect::Read(stream)]);
    let (a2, _) = scene.receive(stream, "a", at(1));
    let (b2, _) = scene.receive(stream, "b", at(1));
    assert_eq!(scene.tell(heartbeat(stream, 5)), [Effect::Read(stream)]);
    let (b3, _) = scene.receive(stream, "b", at(2));
    assert_eq!(scene.tell(heartbeat(stream, 6)), [Effect::Read(stream)]);
    assert_eq!(scene.applied(b2, at(2)), [apply(b3, "b")]);
    assert_eq!(scene.applied(b3, at(3)), []);
    assert_eq!(scene.applied(a2, at(2)), [caught_up(5), caught_up(6)]);
}

#[test]
fn node_with_a_transaction_missing_has_not_caught_up() {
    let (mut scene, stream) = Scene::following(&[("a", at(1)), ("b", at(1))]);
    let (a2, _) = scene.receive(stream, "a", at(1));
    scene.tell(heartbeat(stream, 5));
    scene.refused(a2, Refusal::Storage);
    assert_eq!(scene.tell(heartbeat(stream, 6)), [Effect::Read(stream)]);
    assert_eq!(scene.at(SECOND), []);
}

#[test]
fn many_heartbeats_that_wait_cost_little_and_the_newest_is_told() {
    let (mut scene, stream) = Scene::following(&[("db", at(1))]);
    let (db2, _) = scene.receive(stream, "db", at(1));
    for ms in 0..100 {
        scene.tell(heartbeat(stream, ms));
    }
    let told = scene.applied(db2, at(2));
    assert_eq!((told.len(), told.last()), (16, Some(&caught_up(99))));
}

#[test]
fn database_that_needs_a_snapshot_gets_one_at_once() {
    let (mut scene, stream) = Scene::following(&[("a", at(1)), ("b", at(1))]);
    let (a2, _) = scene.receive(stream, "a", at(1));
    let (a3, _) = scene.receive(stream, "a", at(2));
    let (b2, _) = scene.receive(stream, "b", at(1));
    let effects = scene.refused(a2, Refusal::NeedsSnapshot);
    assert_eq!(effects[..2], [Effect::Discard(a3), Effect::Close(stream)]);
    let (_, announced) = scene.reconnecting(&effects[2..], &[("a", at(1)), ("b", at(1))]);
    let expected = map(&[("a", Position::ZERO), ("b", at(2))]);
    assert_eq!(announced, expected, "b is announced where it is going to be");
    assert_eq!(scene.applied(b2, at(2)), []);
}

#[test]
fn database_that_is_elsewhere_announces_that_at_once() {
    let (mut scene, stream) = Scene::following(&[("db", at(1))]);
    let (db2, _) = scene.receive(stream, "db", at(1));
    let effects = scene.refused(db2, Refusal::Position);
    assert_eq!(effects[0], Effect::Close(stream));
    let (_, announced) = scene.reconnecting(&effects[1..], &[("db", at(7))]);
    assert_eq!(announced, map(&[("db", at(7))]));
}

#[test]
fn transaction_that_could_not_be_stored_is_fetched_again_after_a_while() {
    let (mut scene, stream) = Scene::following(&[("a", at(1)), ("b", at(1))]);
    let (a2, _) = scene.receive(stream, "a", at(1));
    assert_eq!(scene.refused(a2, Refusal::Storage), []);
    assert_eq!(scene.wake, Some(5 * SECOND));
    let header = header(THEIRS, 3, 3, 20);
    let dropped = scene.tell(Event::Header { stream, database: name("a"), header });
    assert_eq!(dropped, [Effect::ReadBody { stream, keep: None }], "what follows it is of no use");
    assert_eq!(scene.tell(Event::Body { stream, body: Body::Skipped }), [Effect::Read(stream)]);
    let (b2, effects) = scene.receive(stream, "b", at(1));
    assert_eq!(effects, [apply(b2, "b"), Effect::Read(stream)], "others go on");
    let effects = scene.wake_up();
    assert_eq!(effects[0], Effect::Close(stream));
    scene.reconnecting(&effects[1..], &[("a", at(1)), ("b", at(1))]);
}

#[test]
fn transaction_that_could_not_be_kept_is_fetched_again_after_a_while() {
    let (mut scene, stream) = Scene::following(&[("db", at(1))]);
    let header = header(THEIRS, 2, 2, 10);
    scene.tell(Event::Header { stream, database: name("db"), header });
    assert_eq!(scene.tell(Event::Body { stream, body: Body::Lost }), [Effect::Read(stream)]);
    assert_eq!(scene.wake, Some(5 * SECOND));
}

#[test]
fn transaction_that_makes_no_sense_is_replaced_by_a_snapshot() {
    let (mut scene, stream) = Scene::following(&[("db", at(1))]);
    let header = header(THEIRS, 2, 2, 10);
    let effects = scene.tell(Event::Header { stream, database: name("db"), header });
    let [Effect::ReadBody { keep: Some(delivery), .. }] = effects[..] else { panic!("{effects:?}") };
    let arrived = crate::node::Arrived { header, pages: 0, post_apply: Checksum::new(20), size: 100 };
    let effects = scene.tell(Event::Body { stream, body: Body::Kept { delivery, arrived } });
    let told = "transaction of db was not applied: transaction 0000000000000002 changes the checksum";
    assert!(scene.notes.iter().any(|note| alloc::string::ToString::to_string(note).starts_with(told)));
    let closed = effects.iter().position(|effect| *effect == Effect::Close(stream)).unwrap();
    assert!(effects[..closed].contains(&Effect::Discard(delivery)));
    let (_, announced) = scene.reconnecting(&effects[closed + 1..], &[("db", at(1))]);
    assert_eq!(announced, map(&[("db", Position::ZERO)]));
}

#[test]
fn what_is_applied_while_the_positions_are_looked_at_is_announced_where_it_will_be() {
    let (mut scene, stream) = Scene::following(&[("db", at(1))]);
    let (db2, _) = scene.receive(stream, "db", at(1));
    scene.tell(Event::Ended { stream, orderly: true });
    let asked = scene.wake_up();
    scene.compared(&asked);
    let effects = scene.lease(crate::node::LeaseReply::Primary(upstream()));
    assert_eq!(effects, [Effect::LookAtPositions]);
    // They were read before the transaction was applied, and arrive after.
    assert_eq!(scene.applied(db2, at(2)), []);
    assert_eq!(scene.connecting(&[("db", at(1))]).1, map(&[("db", at(2))]));
}

/// Fills the room with transactions of `stuck`, 1 MiB each, until the node reads no further. Returns the transaction under
/// way, those that wait, and the one there is no room for.
fn fill(scene: &mut Scene, stream: StreamId) -> (Delivery, Vec<Delivery>, Delivery) {
    let mut taken = Vec::new();
    for txid in 2.. {
        let header = header(THEIRS, txid, txid, (txid - 1) * 10);
        let (delivery, effects) = scene.receive_sized(stream, "stuck", header, txid * 10, 1 << 20);
        if !effects.contains(&Effect::Read(stream)) {
            assert_eq!(effects, []);
            assert_eq!(taken.len(), 64);
            return (taken[0], taken.split_off(1), delivery);
        }
        taken.push(delivery);
    }
    unreachable!()
}

#[test]
fn database_that_is_stuck_is_dropped_so_that_others_go_on() {
    let (mut scene, stream) = Scene::following(&[("stuck", at(1)), ("other", at(1))]);
    let (first, waiting, last) = fill(&mut scene, stream);
    assert_eq!(scene.wake, Some(2 * SECOND));
    let mut expected: Vec<_> = waiting.into_iter().map(Effect::Discard).collect();
    expected.push(Effect::Discard(last));
    expected.push(Effect::Read(stream));
    assert_eq!(scene.wake_up(), expected);
    assert_eq!(
        scene.note(),
        "transactions of stuck wait for too long to be applied, fetching them again later"
    );
    let (other, effects) = scene.receive(stream, "other", at(1));
    assert_eq!(effects, [apply(other, "other"), Effect::Read(stream)]);
    assert_eq!(scene.at(100 * SECOND), [], "there is nothing to fetch before it moves");
    let effects = scene.applied(first, at(2));
    assert_eq!(effects[0], Effect::Close(stream));
    let (_, announced) = scene.reconnecting(&effects[1..], &[("stuck", at(2)), ("other", at(1))]);
    assert_eq!(announced, map(&[("stuck", at(2)), ("other", at(2))]));
}

#[test]
fn only_database_is_never_dropped_and_holds_up_its_primary() {
    let (mut scene, stream) = Scene::following(&[("stuck", at(1))]);
    let (first, waiting, last) = fill(&mut scene, stream);
    assert_eq!(scene.wake, None);
    assert_eq!(scene.at(100 * SECOND), []);
    assert_eq!(scene.applied(first, at(2)), [apply(waiting[0], "stuck"), Effect::Read(stream)]);
    for (index, delivery) in waiting.iter().enumerate() {
        let next = waiting.get(index + 1).copied().unwrap_or(last);
        assert_eq!(scene.applied(*delivery, at(index as u64 + 3)), [apply(next, "stuck")]);
    }
}

#[test]
fn database_that_moves_is_not_stuck_however_much_waits() {
    let (mut scene, stream) = Scene::following(&[("stuck", at(1)), ("other", at(1))]);
    let (first, waiting, _) = fill(&mut scene, stream);
    scene.now = SECOND;
    assert_eq!(scene.applied(first, at(2)), [apply(waiting[0], "stuck"), Effect::Read(stream)]);
    let header = header(THEIRS, 67, 67, 660);
    let (_, effects) = scene.receive_sized(stream, "stuck", header, 670, 1 << 20);
    assert_eq!(effects, []);
    scene.now = 2 * SECOND;
    assert_eq!(scene.applied(waiting[0], at(3)), [apply(waiting[1], "stuck"), Effect::Read(stream)]);
    assert_eq!(scene.at(3 * SECOND), []);
}

#[test]
fn transaction_there_was_no_room_for_is_fetched_again_on_the_next_stream() {
    let (mut scene, stream) = Scene::following(&[("stuck", at(1)), ("other", at(1))]);
    let (_, waiting, last) = fill(&mut scene, stream);
    assert_eq!(scene.tell(Event::Ended { stream, orderly: false }), []);
    let asked = scene.wake_up();
    scene.compared(&asked);
    let effects = scene.lease(crate::node::LeaseReply::Primary(upstream()));
    assert_eq!(effects, [Effect::Discard(last), Effect::LookAtPositions]);
    let (_, announced) = scene.connecting(&[("stuck", at(1)), ("other", at(1))]);
    assert_eq!(announced[&name("stuck")], at(waiting.len() as u64 + 2));
}
