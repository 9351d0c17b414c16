use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use super::rotation::Rotation;
use crate::{Checksum, DatabaseName, Now, Position, Txid};

/// What a primary sends to one subscriber next.
///
/// The machine knows where the subscriber is and where the databases of this node are. It only compares positions: the
/// driver finds the bytes, writes the frame and says how that went.
///
/// Databases take turns, one LTX file each, so a busy one delays another by one transaction. A snapshot cannot be
/// interrupted, the stream being one ordered sequence of frames; therefore databases that need one come after those
/// that only need transactions, at most one snapshot per [`Sender::TRANSACTIONS_BEFORE_SNAPSHOT`] transactions (or per
/// round, if more databases than that wait). A database is thus held up by one snapshot at a time, and the driver
/// bounds the time of each.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Where the subscriber is, once it has read what was sent.
    peer: BTreeMap<DatabaseName, Position>,
    /// Where the databases of this node are, durably.
    local: BTreeMap<DatabaseName, Position>,
    /// The only databases the subscriber wants. `None` is all.
    filter: Option<BTreeSet<DatabaseName>>,
    /// Databases the subscriber is behind in, by what it needs.
    transactions: Rotation,
    snapshots: Rotation,
    /// Databases whose next transaction the log no longer has.
    missing: BTreeSet<DatabaseName>,
    /// Databases the subscriber has and this node does not, and which it was not told of yet.
    unknown: BTreeSet<DatabaseName>,
    /// What was offered last and not reported yet.
    in_flight: Need,
    /// Transactions that may still go before a waiting snapshot.
    before_snapshot: usize,
    ready_sent: bool,
    /// When the next heartbeat is due on the monotonic clock, in nanoseconds.
    heartbeat_ns: u64,
}

const HEARTBEAT_INTERVAL_NS: u64 = Sender::HEARTBEAT_INTERVAL.as_nanos() as u64;

/// One thing to do for a subscriber.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Tell it that this node does not have the database. Nothing to report afterwards.
    DropUnknown {
        /// The database.
        database: DatabaseName,
    },
    /// Send one transaction from the log, then report [`Sender::sent`]. If the log has no such transaction, or one
    /// that starts from another checksum, report [`Sender::missing`].
    Transaction {
        /// The database.
        database: DatabaseName,
        /// The transaction.
        txid: Txid,
        /// The checksum of the subscriber's database, which the transaction must start from.
        pre_apply: Checksum,
    },
    /// Send the whole database, then report [`Sender::sent`] with the position of what was sent.
    Snapshot {
        /// The database.
        database: DatabaseName,
    },
    /// Tell it that it has everything. Nothing to report afterwards.
    Ready,
    /// Tell it that it has everything at this time. Nothing to report afterwards.
    Heartbeat {
        /// In milliseconds since the Unix epoch.
        timestamp_ms: i64,
    },
    /// Nothing to send. Ask again when a position changed, at the latest at this time.
    Wait {
        /// When the next heartbeat is due, on the monotonic clock of [`Now`].
        until_ns: u64,
    },
}

impl Sender {
    /// Time between two heartbeats to a subscriber that has everything.
    pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

    /// Transactions of other databases that go before a snapshot, at least.
    pub const TRANSACTIONS_BEFORE_SNAPSHOT: usize = 64;

    /// A subscriber that announced its positions, on a node with these databases. `filter` names the only databases it
    /// wants.
    pub fn new(
        peer: BTreeMap<DatabaseName, Position>,
        local: BTreeMap<DatabaseName, Position>,
        filter: Option<BTreeSet<DatabaseName>>,
    ) -> Self {
        let unknown = peer.keys().filter(|name| !local.contains_key(*name)).cloned().collect();
        let mut sender = Self {
            peer,
            local: BTreeMap::new(),
            filter,
            transactions: Rotation::default(),
            snapshots: Rotation::default(),
            missing: BTreeSet::new(),
            unknown,
            in_flight: Need::Nothing,
            before_snapshot: Self::TRANSACTIONS_BEFORE_SNAPSHOT,
            ready_sent: false,
            heartbeat_ns: 0,
        };
        sender.unknown.retain(|name| wanted(sender.filter.as_ref(), name));
        for (database, position) in local {
            sender.changed(database, position);
        }
        sender
    }

    /// The durable position of a database of this node is this.
    pub fn changed(&mut self, database: DatabaseName, position: Position) {
        if !wanted(self.filter.as_ref(), &database) {
            return;
        }
        self.unknown.remove(&database);
        self.advance(&database, position);
        self.place(database);
    }

    /// A primary never goes back, but news of where it is can be late.
    fn advance(&mut self, database: &DatabaseName, position: Position) {
        if self.local.get(database).is_none_or(|known| known.txid < position.txid) {
            self.local.insert(database.clone(), position);
        }
    }

    /// What to do now. A transaction or snapshot is offered until it is reported.
    pub fn next(&mut self, now: Now) -> Action {
        if let Some(database) = self.unknown.pop_first() {
            self.peer.remove(&database);
            return Action::DropUnknown { database };
        }
        if let Some(database) = self.turn() {
            let peer = self.peer.get(&database).copied().unwrap_or(Position::ZERO);
            self.in_flight = self.need(&database);
            return match self.in_flight {
                Need::Transaction => {
                    Action::Transaction { database, txid: peer.txid.next(), pre_apply: peer.checksum }
                }
                Need::Snapshot | Need::Nothing => Action::Snapshot { database },
            };
        }
        if !self.ready_sent {
            self.ready_sent = true;
            return Action::Ready;
        }
        if now.monotonic_ns < self.heartbeat_ns {
            return Action::Wait { until_ns: self.heartbeat_ns };
        }
        self.heartbeat_ns = now.monotonic_ns.saturating_add(HEARTBEAT_INTERVAL_NS);
        Action::Heartbeat { timestamp_ms: now.wall_ms }
    }

    /// What was asked for `database` was sent completely, and takes the subscriber to `position`.
    pub fn sent(&mut self, database: DatabaseName, position: Position) {
        if self.in_flight == Need::Transaction {
            self.transactions.end_turn(&database);
            self.before_snapshot = self.before_snapshot.saturating_sub(1);
        } else {
            self.snapshots.end_turn(&database);
            self.before_snapshot = Self::TRANSACTIONS_BEFORE_SNAPSHOT.max(self.transactions.len());
        }
        self.missing.remove(&database);
        // A snapshot can be ahead of what this was told.
        self.advance(&database, position);
        self.peer.insert(database.clone(), position);
        self.place(database);
    }

    /// The log does not have the transaction that was asked for `database`; a snapshot takes its place.
    pub fn missing(&mut self, database: DatabaseName) {
        self.missing.insert(database.clone());
        self.place(database);
    }

    /// Whether the subscriber has been sent everything this node knows of.
    pub fn is_current(&self) -> bool {
        self.transactions.is_empty() && self.snapshots.is_empty() && self.unknown.is_empty()
    }

    /// Puts a database where it has to wait.
    fn place(&mut self, database: DatabaseName) {
        let need = self.need(&database);
        if need != Need::Transaction {
            self.transactions.remove(&database);
        }
        if need != Need::Snapshot {
            self.snapshots.remove(&database);
        }
        match need {
            Need::Nothing => (),
            Need::Transaction => self.transactions.insert(database),
            Need::Snapshot => self.snapshots.insert(database),
        }
    }

    fn turn(&self) -> Option<DatabaseName> {
        let (first, second) = if self.before_snapshot > 0 {
            (&self.transactions, &self.snapshots)
        } else {
            (&self.snapshots, &self.transactions)
        };
        first.peek().or_else(|| second.peek()).cloned()
    }

    fn need(&self, database: &DatabaseName) -> Need {
        let Some(local) = self.local.get(database) else { return Need::Nothing };
        let peer = self.peer.get(database).copied().unwrap_or(Position::ZERO);
        match Need::between(peer, *local) {
            Need::Transaction if self.missing.contains(database) => Need::Snapshot,
            need => need,
        }
    }
}

fn wanted(filter: Option<&BTreeSet<DatabaseName>>, database: &DatabaseName) -> bool {
    filter.is_none_or(|names| names.contains(database))
}

/// What a subscriber needs of one database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Need {
    Nothing,
    Transaction,
    Snapshot,
}

impl Need {
    /// What takes a subscriber at `peer` towards `local`.
    ///
    /// The first transaction of a database goes as a snapshot, so that the author it names is always the sender.
    fn between(peer: Position, local: Position) -> Self {
        if local.txid == Txid::ZERO || peer == local {
            Self::Nothing
        } else if peer.txid == Txid::ZERO || peer.txid >= local.txid {
            Self::Snapshot
        } else {
            Self::Transaction
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn name(text: &str) -> DatabaseName {
        DatabaseName::new(text).unwrap()
    }

    fn at(txid: u64, checksum: u64) -> Position {
        Position { txid: Txid::new(txid), checksum: Checksum::new(checksum) }
    }

    fn map<const N: usize>(entries: [(&str, Position); N]) -> BTreeMap<DatabaseName, Position> {
        entries.into_iter().map(|(text, position)| (name(text), position)).collect()
    }

    fn second(number: u64) -> Now {
        Now { monotonic_ns: number * 1_000_000_000, wall_ms: number as i64 * 1000 }
    }

    #[test]
    fn need_of_a_subscriber_follows_from_the_two_positions() {
        let rows = [
            ("nothing was committed here", at(0, 0), at(0, 0), Need::Nothing),
            ("nothing was committed here, the peer has data", at(7, 70), at(0, 0), Need::Nothing),
            ("the peer has everything", at(7, 70), at(7, 70), Need::Nothing),
            ("the peer has nothing", at(0, 0), at(1, 10), Need::Snapshot),
            ("the peer has nothing of many", at(0, 0), at(7, 70), Need::Snapshot),
            ("the peer is one behind", at(6, 60), at(7, 70), Need::Transaction),
            ("the peer is many behind", at(1, 10), at(7, 70), Need::Transaction),
            ("the peer diverged", at(7, 71), at(7, 70), Need::Snapshot),
            ("the peer is ahead", at(8, 80), at(7, 70), Need::Snapshot),
            ("the database was dropped", at(6, 60), at(7, 1 << 63), Need::Transaction),
        ];
        for (what, peer, local, need) in rows {
            assert_eq!(Need::between(peer, local), need, "{what}");
        }
    }

    #[test]
    fn subscriber_that_is_behind_gets_each_transaction_then_ready_then_heartbeats() {
        let mut sender =
            Sender::new(map([("db", at(1, 10)), ("gone", at(3, 30))]), map([("db", at(3, 30))]), None);
        assert_eq!(sender.next(second(0)), Action::DropUnknown { database: name("gone") });
        for txid in [2, 3] {
            let action = Action::Transaction {
                database: name("db"),
                txid: Txid::new(txid),
                pre_apply: Checksum::new((txid - 1) * 10),
            };
            assert_eq!(sender.next(second(0)), action);
            assert_eq!(sender.next(second(0)), action, "a transaction is offered until it is reported");
            sender.sent(name("db"), at(txid, txid * 10));
        }
        assert_eq!(sender.next(second(5)), Action::Ready);
        assert_eq!(sender.next(second(5)), Action::Heartbeat { timestamp_ms: 5000 });
        assert_eq!(sender.next(second(5)), Action::Wait { until_ns: 6_000_000_000 });
        assert_eq!(sender.next(second(6)), Action::Heartbeat { timestamp_ms: 6000 });
        sender.changed(name("db"), at(4, 40));
        assert!(!sender.is_current());
        assert!(matches!(sender.next(second(7)), Action::Transaction { .. }), "no heartbeat while behind");
        sender.sent(name("db"), at(4, 40));
        assert!(sender.is_current());
        assert_eq!(sender.next(second(7)), Action::Heartbeat { timestamp_ms: 7000 });
    }

    #[test]
    fn transaction_the_log_no_longer_has_is_replaced_by_a_snapshot() {
        let mut sender = Sender::new(map([("db", at(1, 10))]), map([("db", at(9, 90))]), None);
        assert!(matches!(sender.next(second(0)), Action::Transaction { .. }));
        sender.missing(name("db"));
        assert_eq!(sender.next(second(0)), Action::Snapshot { database: name("db") });
        sender.changed(name("db"), at(11, 110));
        assert_eq!(sender.next(second(0)), Action::Snapshot { database: name("db") });
        sender.sent(name("db"), at(10, 100));
        assert_eq!(
            sender.next(second(0)),
            Action::Transaction { database: name("db"), txid: Txid::new(11), pre_apply: Checksum::new(100) },
            "transactions go on after a snapshot"
        );
    }

    #[test]
    fn position_that_is_heard_of_late_is_not_taken() {
        let mut sender = Sender::new(map([("db", at(9, 90))]), map([("db", at(9, 90))]), None);
        sender.changed(name("db"), at(8, 80));
        assert!(sender.is_current());
        assert_eq!(sender.next(second(0)), Action::Ready);
    }

    #[test]
    fn snapshot_that_is_ahead_of_what_was_heard_is_sent_once() {
        let mut sender = Sender::new(map([]), map([("db", at(1, 10))]), None);
        assert!(matches!(sender.next(second(0)), Action::Snapshot { .. }));
        sender.sent(name("db"), at(3, 30));
        assert_eq!(sender.next(second(0)), Action::Ready);
        sender.changed(name("db"), at(2, 20));
        assert!(sender.is_current());
    }

    #[test]
    fn filtered_subscriber_hears_of_no_other_database() {
        let filter = Some([name("a")].into());
        let mut sender =
            Sender::new(map([("gone", at(1, 1))]), map([("a", at(1, 10)), ("b", at(1, 10))]), filter);
        assert_eq!(sender.next(second(0)), Action::Snapshot { database: name("a") });
        sender.sent(name("a"), at(1, 10));
        sender.changed(name("b"), at(2, 20));
        assert_eq!(sender.next(second(0)), Action::Ready);
    }

    #[test]
    fn unknown_database_that_appears_before_it_was_mentioned_is_sent_instead() {
        let mut sender = Sender::new(map([("db", at(1, 10))]), map([]), None);
        sender.changed(name("db"), at(1, 10));
        assert_eq!(sender.next(second(0)), Action::Ready);
    }

    /// Drives a sender whose log has everything, and returns the databases in the order their LTX files went.
    fn drive(
        sender: &mut Sender,
        files: usize,
        mut after_each: impl FnMut(&mut Sender),
    ) -> Vec<(DatabaseName, bool)> {
        let mut order = Vec::new();
        while order.len() < files {
            let (database, position, snapshot) = match sender.next(second(0)) {
                Action::Transaction { database, txid, .. } => (database, at(txid.get(), txid.get()), false),
                Action::Snapshot { database } => {
                    let position = sender.local[&database];
                    (database, position, true)
                }
                action => panic!("{action:?} although databases wait"),
            };
            order.push((database.clone(), snapshot));
            sender.sent(database, position);
            after_each(sender);
        }
        order
    }

    #[test]
    fn databases_take_turns_one_transaction_each() {
        let mut sender = Sender::new(
            map([("busy", at(1, 1)), ("a", at(1, 1)), ("z", at(1, 1))]),
            map([("busy", at(1000, 1000)), ("a", at(3, 3)), ("z", at(3, 3))]),
            None,
        );
        let order: Vec<_> = drive(&mut sender, 6, |_| ()).into_iter().map(|(database, _)| database).collect();
        assert_eq!(order, ["a", "busy", "z", "a", "busy", "z"].map(name));
    }

    #[test]
    fn snapshot_waits_for_transactions_but_not_for_ever() {
        let mut sender = Sender::new(
            map([("busy", at(1, 1))]),
            map([("busy", at(2, 2)), ("new", at(5, 5)), ("other", at(5, 5))]),
            None,
        );
        let mut txid = 2;
        let order = drive(&mut sender, 200, |sender| {
            txid += 1;
            sender.changed(name("busy"), at(txid, txid));
        });
        let snapshots: Vec<_> = order
            .iter()
            .enumerate()
            .filter(|(_, (_, snapshot))| *snapshot)
            .map(|(index, (database, _))| (index, database.clone()))
            .collect();
        assert_eq!(snapshots, [(64, name("new")), (129, name("other"))]);
    }

    #[test]
    fn snapshot_that_is_ahead_of_what_the_sender_was_told_is_sent_once() {
        let mut sender = Sender::new(map([("db", at(3, 31))]), map([("db", at(3, 30))]), None);
        assert_eq!(sender.next(second(0)), Action::Snapshot { database: name("db") });
        sender.sent(name("db"), at(5, 50));
        sender.changed(name("db"), at(4, 40));
        assert_eq!(sender.next(second(0)), Action::Ready, "late news are no news");
    }
}
