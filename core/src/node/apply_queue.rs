use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::delivery::{Application, Arrived, Delivery, Refusal, Replaces};
use super::{Effect, Note};
use crate::{DatabaseName, Now, Position};

/// Bytes of transactions that wait to be applied, of all databases together.
const ROOM: usize = 64 << 20;
/// What a waiting transaction counts at least, so that the files of large ones are bounded in number, too.
const AT_LEAST: usize = 4 << 10;
/// How long applying one transaction may hold up other databases once [`ROOM`] is used up, in nanoseconds.
const STUCK_NS: u64 = 2_000_000_000;
/// How long to wait before a transaction that could not be stored is fetched again, in nanoseconds.
const RETRY_NS: u64 = 5_000_000_000;
/// Heartbeats that wait for transactions before them.
const MARKS: usize = 16;

/// The order in which received transactions are applied: those of one database one after the other, those of different
/// databases independently.
///
/// The stream of the primary carries all databases in one order, so a database that is slow to apply, because a reader
/// holds a lock or it receives a large transaction, must not stop the reading. Its transactions wait up to [`ROOM`] in
/// total. Once the room is used up and the database has been at the same transaction for [`STUCK_NS`], it is *detached*:
/// what waits is dropped, and so is what still arrives for it. When it moves again, [`Self::is_refetch_due`] says that the
/// stream must be started anew, which costs the others nothing because they announce where they are. If only one database
/// is replicated there is nobody to protect, and the primary is held up by the connection.
#[derive(Debug, Default)]
pub(super) struct ApplyQueue {
    databases: BTreeMap<DatabaseName, Work>,
    /// Bytes that count against [`ROOM`].
    used: usize,
    /// Transactions that were taken and are not applied yet.
    outstanding: BTreeSet<Delivery>,
    /// The last transaction that was taken.
    last: Option<Delivery>,
    /// The transaction that there is no room for. Until it has been taken, nothing else is received.
    held_up: Option<HeldUp>,
    /// Transactions were dropped, so nothing the primary says on this stream is true of this node.
    incomplete: bool,
    /// What to tell once all transactions up to one are applied.
    marks: VecDeque<(Option<Delivery>, Mark)>,
    /// Databases whose transactions are dropped until the next stream.
    detached: BTreeSet<DatabaseName>,
    /// Databases that need a snapshot.
    need_snapshot: BTreeSet<DatabaseName>,
    /// When to start the stream anew, if something was dropped that can be fetched again, in nanoseconds.
    refetch_ns: Option<u64>,
}

/// The transactions of a database that is being applied to.
#[derive(Debug)]
struct Work {
    /// When the transaction under way began, in nanoseconds, and what it is.
    began_ns: u64,
    under_way: Item,
    waiting: VecDeque<Item>,
}

/// A transaction that was received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) delivery: Delivery,
    pub(super) arrived: Arrived,
    pub(super) replaces: Option<Replaces>,
}

#[derive(Debug)]
struct HeldUp {
    database: DatabaseName,
    item: Item,
    /// When those in its way are looked at next, in nanoseconds; `None` if no other database suffers.
    look_ns: Option<u64>,
}

/// Something the primary said, which is true once everything before it is applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mark {
    /// Everything has been sent once.
    Ready,
    /// Everything up to this time has been sent.
    CaughtUp(i64),
}

impl ApplyQueue {
    /// A new stream begins. Returns the databases that are being applied to and where they will be, and those that need
    /// a snapshot.
    pub(super) fn restart(
        &mut self,
        out: &mut Vec<Effect>,
    ) -> (BTreeMap<DatabaseName, Position>, BTreeSet<DatabaseName>) {
        out.extend(self.held_up.take().map(|held_up| Effect::Discard(held_up.item.delivery)));
        self.detached.clear();
        self.marks.clear();
        self.refetch_ns = None;
        self.incomplete = false;
        let ends = self.databases.iter().map(|(name, work)| {
            let end = work.waiting.back().unwrap_or(&work.under_way);
            (name.clone(), end.arrived.position())
        });
        (ends.collect(), core::mem::take(&mut self.need_snapshot))
    }

    /// Whether transactions of the database are dropped until the next stream.
    pub(super) fn is_detached(&self, database: &DatabaseName) -> bool {
        self.detached.contains(database)
    }

    /// Takes a transaction to apply it after those taken before. `alone` says that no other database waits for this one.
    pub(super) fn submit(
        &mut self,
        database: DatabaseName,
        item: Item,
        alone: bool,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let look_ns = (!alone).then(|| now.monotonic_ns.saturating_add(STUCK_NS));
        self.held_up = Some(HeldUp { database, item, look_ns });
        self.take_held_up(now, out);
    }

    /// Whether nothing more may be received for now.
    pub(super) fn is_full(&self) -> bool {
        self.held_up.is_some()
    }

    fn take_held_up(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(held_up) = &self.held_up else { return };
        let HeldUp { item, .. } = *held_up;
        let detached = self.detached.contains(&held_up.database);
        if !detached && self.used > 0 && self.used + size_of(&item) > ROOM {
            return;
        }
        let Some(HeldUp { database, .. }) = self.held_up.take() else { return };
        if detached {
            out.push(Effect::Discard(item.delivery));
            return;
        }
        self.used += size_of(&item);
        self.outstanding.insert(item.delivery);
        self.last = Some(item.delivery);
        if let Some(work) = self.databases.get_mut(&database) {
            work.waiting.push_back(item);
        } else {
            let work = Work { began_ns: now.monotonic_ns, under_way: item, waiting: VecDeque::new() };
            self.databases.insert(database.clone(), work);
            out.push(apply(database, item));
        }
    }

    /// The database cannot use what was received for it: the next stream asks for a snapshot.
    pub(super) fn need_snapshot(&mut self, database: &DatabaseName, now: Now, out: &mut Vec<Effect>) {
        self.fail(database, true, out);
        self.schedule(now.monotonic_ns);
    }

    /// The transaction of the database that was arriving could not be kept: it is fetched again later.
    pub(super) fn lost(&mut self, database: &DatabaseName, now: Now, out: &mut Vec<Effect>) {
        self.fail(database, false, out);
        self.schedule(now.monotonic_ns.saturating_add(RETRY_NS));
    }

    /// Tells once everything before is applied.
    pub(super) fn mark(&mut self, mark: Mark, out: &mut Vec<Effect>) {
        if self.marks.len() == MARKS {
            // The newest heartbeat is told as well when the time comes.
            self.marks.pop_back();
        }
        self.marks.push_back((self.last, mark));
        self.tell(out);
    }

    /// Drops what waits. What is under way goes on.
    pub(super) fn drop_waiting(&mut self, out: &mut Vec<Effect>) {
        out.extend(self.held_up.take().map(|held_up| Effect::Discard(held_up.item.delivery)));
        let busy: Vec<_> = self.databases.keys().cloned().collect();
        for database in busy {
            self.fail(&database, false, out);
        }
    }

    /// Whether nothing is being applied.
    pub(super) fn is_idle(&self) -> bool {
        self.databases.is_empty()
    }

    /// The transaction under way was applied, or was not.
    pub(super) fn applied(
        &mut self,
        delivery: Delivery,
        outcome: Result<Position, Refusal>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let found = self.databases.iter().find(|(_, work)| work.under_way.delivery == delivery);
        let Some(database) = found.map(|(name, _)| name.clone()) else { return };
        if let Some(work) = self.databases.get(&database) {
            self.used -= size_of(&work.under_way);
        }
        self.outstanding.remove(&delivery);
        if let Err(reason) = outcome {
            let delay = match reason {
                Refusal::NeedsSnapshot | Refusal::Position => 0,
                Refusal::Storage => RETRY_NS,
            };
            self.fail(&database, reason == Refusal::NeedsSnapshot, out);
            self.schedule(now.monotonic_ns.saturating_add(delay));
        }
        match self.databases.get_mut(&database).and_then(|work| work.waiting.pop_front()) {
            Some(next) => {
                if let Some(work) = self.databases.get_mut(&database) {
                    work.began_ns = now.monotonic_ns;
                    work.under_way = next;
                }
                out.push(apply(database, next));
            }
            None => {
                self.databases.remove(&database);
                if self.detached.contains(&database) {
                    // It moves again, so what was dropped meanwhile can be fetched.
                    self.schedule(now.monotonic_ns);
                }
            }
        }
        self.tell(out);
        self.take_held_up(now, out);
    }

    /// Looks after databases that hold up others.
    pub(super) fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(held_up) = &mut self.held_up else { return };
        if held_up.look_ns.is_none_or(|look| now.monotonic_ns < look) {
            return;
        }
        held_up.look_ns = Some(now.monotonic_ns.saturating_add(STUCK_NS));
        let is_stuck = |work: &Work| now.monotonic_ns.saturating_sub(work.began_ns) >= STUCK_NS;
        let stuck: Vec<_> = self
            .databases
            .iter()
            .filter(|(_, work)| is_stuck(work) && !work.waiting.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        for database in stuck {
            self.fail(&database, false, out);
            out.push(Effect::Note(Note::Stuck { database }));
        }
        self.take_held_up(now, out);
    }

    /// Whether the stream should be started anew to fetch what was dropped.
    pub(super) fn is_refetch_due(&self, now: Now) -> bool {
        self.refetch_ns.is_some_and(|at| now.monotonic_ns >= at)
    }

    /// When something has to be done, in nanoseconds.
    pub(super) fn wake_ns(&self) -> Option<u64> {
        let look_ns = self.held_up.as_ref().and_then(|held_up| held_up.look_ns);
        self.refetch_ns.into_iter().chain(look_ns).min()
    }

    /// Starts the stream anew at `at_ns`, unless that happens later anyway.
    fn schedule(&mut self, at_ns: u64) {
        self.refetch_ns = Some(self.refetch_ns.map_or(at_ns, |earlier| earlier.max(at_ns)));
    }

    /// Tells the marks whose transactions are all applied.
    fn tell(&mut self, out: &mut Vec<Effect>) {
        if self.incomplete {
            return;
        }
        while let Some((last, mark)) = self.marks.front().copied() {
            if self.outstanding.first().is_some_and(|oldest| Some(*oldest) <= last) {
                break;
            }
            self.marks.pop_front();
            out.push(match mark {
                Mark::Ready => Effect::Ready,
                Mark::CaughtUp(primary_ms) => Effect::CaughtUp { primary_ms },
            });
        }
    }

    /// Drops what waits for the database, and what comes for it.
    fn fail(&mut self, database: &DatabaseName, needs_snapshot: bool, out: &mut Vec<Effect>) {
        self.incomplete = true;
        self.detached.insert(database.clone());
        if needs_snapshot {
            self.need_snapshot.insert(database.clone());
        }
        if let Some(work) = self.databases.get_mut(database) {
            for waiting in work.waiting.drain(..) {
                self.outstanding.remove(&waiting.delivery);
                self.used -= size_of(&waiting);
                out.push(Effect::Discard(waiting.delivery));
            }
        }
    }
}

fn apply(database: DatabaseName, item: Item) -> Effect {
    Effect::Apply(Application { delivery: item.delivery, database, replaces: item.replaces })
}

/// What a transaction counts against [`ROOM`].
fn size_of(item: &Item) -> usize {
    item.arrived.size.max(AT_LEAST)
}
