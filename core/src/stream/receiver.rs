use alloc::collections::{BTreeMap, BTreeSet};

use crate::ltx::Header;
use crate::{Checksum, DatabaseName, NodeId, Position, Txid};

/// What a replica does with the LTX files that a primary streams to it.
///
/// The machine knows the position each database will have once everything that was accepted is applied, so files can be
/// judged while earlier ones still wait. A file is judged twice: by its header before its body is read
/// ([`Receiver::begin`]), and when its checksum has been verified ([`Receiver::end`]).
#[derive(Clone, Debug)]
pub struct Receiver {
    node: NodeId,
    /// Where each database will be once what was accepted is applied.
    expected: BTreeMap<DatabaseName, Position>,
    /// Databases that can only go on from a snapshot.
    resnapshot: BTreeSet<DatabaseName>,
    /// Where a database was when a file last did not follow its position.
    refused_at: BTreeMap<DatabaseName, Position>,
}

/// What to do with an LTX file, judged by its header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// Read it and apply it: it follows the position of the database.
    Apply,
    /// Read it and put it in the place of the database, which holds other data.
    Replace {
        /// Where the database is. Whether the snapshot continues it cannot be told from the two positions unless
        /// [`Admission::Replace::diverged`] is set.
        local: Position,
        /// The snapshot is of an earlier transaction than the database, so the database has transactions that the
        /// primary does not know.
        diverged: bool,
    },
    /// Read it and forget it: the database has it already.
    Skip,
    /// Disconnect and announce the position of the database again.
    Reconnect(PositionMismatch),
}

/// A transaction that does not follow the position of the database.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the database is at {local}, the transaction that was sent follows {expected}")]
pub struct PositionMismatch {
    /// Where the database is.
    pub local: Position,
    /// Where it would have to be.
    pub expected: Position,
}

/// An LTX file that was verified but cannot be applied. The database needs a snapshot, which the next connection asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unappliable {
    /// The file changes the checksum of the database without changing a page. LiteFS writes such a file when a
    /// database leaves WAL mode.
    #[error(
        "transaction {txid} changes the checksum from {pre_apply} to {post_apply} without a page; the database needs a snapshot"
    )]
    NoPages {
        /// The last transaction of the file.
        txid: Txid,
        /// The checksum before it.
        pre_apply: Checksum,
        /// The checksum after it.
        post_apply: Checksum,
    },
    /// The file drops the database and claims another checksum than that of no pages.
    #[error(
        "transaction {txid} drops the database and leaves checksum {post_apply}, expected {}",
        Checksum::EMPTY
    )]
    DropWithChecksum {
        /// The last transaction of the file.
        txid: Txid,
        /// The checksum after it.
        post_apply: Checksum,
    },
}

impl Receiver {
    /// The receiver of the node with this id, before it connects.
    pub fn new(node: NodeId) -> Self {
        Self { node, expected: BTreeMap::new(), resnapshot: BTreeSet::new(), refused_at: BTreeMap::new() }
    }

    /// Starts a connection, and returns the positions to announce. Everything accepted before must have been applied
    /// or given up.
    ///
    /// A database that needs a snapshot is announced as empty: then the primary sends one.
    pub fn connect(&mut self, local: BTreeMap<DatabaseName, Position>) -> BTreeMap<DatabaseName, Position> {
        self.refused_at.retain(|database, position| local.get(database) == Some(&*position));
        self.expected = local.clone();
        let mut announced = local;
        for database in &self.resnapshot {
            announced.insert(database.clone(), Position::ZERO);
        }
        announced
    }

    /// What to do with the file that begins with `header`.
    pub fn begin(&mut self, database: &DatabaseName, header: &Header) -> Admission {
        let local = self.position(database);
        let needs_snapshot = self.resnapshot.contains(database);
        if header.node_id == self.node && header.max_txid <= local.txid && !needs_snapshot {
            // This node sent the transaction to the primary, and hears it come back.
            return Admission::Skip;
        }
        if header.is_snapshot() {
            return if local.txid == Txid::ZERO {
                Admission::Apply
            } else {
                Admission::Replace { local, diverged: header.max_txid < local.txid }
            };
        }
        let expected = Position { txid: header.min_txid.prev(), checksum: header.pre_apply };
        if expected == local && !needs_snapshot {
            return Admission::Apply;
        }
        if self.refused_at.insert(database.clone(), local) == Some(local) {
            // Announcing the position again did not help.
            self.resnapshot.insert(database.clone());
        }
        Admission::Reconnect(PositionMismatch { local, expected })
    }

    /// The file that was admitted to be applied ended, verified, with `trailer` after `pages` pages. On success it is to be
    /// handed on, and the next file of the database follows it.
    pub fn end(
        &mut self,
        database: &DatabaseName,
        header: &Header,
        pages: u64,
        post_apply: Checksum,
    ) -> Result<Position, Unappliable> {
        let txid = header.max_txid;
        let verdict = if header.commit == 0 && post_apply != Checksum::EMPTY {
            Err(Unappliable::DropWithChecksum { txid, post_apply })
        } else if header.commit != 0 && pages == 0 && post_apply != header.pre_apply {
            Err(Unappliable::NoPages { txid, pre_apply: header.pre_apply, post_apply })
        } else {
            Ok(Position { txid, checksum: post_apply })
        };
        match verdict {
            Ok(position) => {
                self.expected.insert(database.clone(), position);
                if header.is_snapshot() {
                    self.resnapshot.remove(database);
                }
            }
            Err(_) => self.request_snapshot(database),
        }
        verdict
    }

    /// The database can only go on from a snapshot: what was accepted could not be applied.
    pub fn request_snapshot(&mut self, database: &DatabaseName) {
        self.resnapshot.insert(database.clone());
    }

    /// How many databases this node has or is about to have.
    pub fn databases(&self) -> usize {
        self.expected.len()
    }

    /// Where the database will be once what was accepted is applied.
    pub fn position(&self, database: &DatabaseName) -> Position {
        self.expected.get(database).copied().unwrap_or(Position::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PageSize;

    const OWN: NodeId = NodeId::new(1);
    const OTHER: NodeId = NodeId::new(2);

    fn name() -> DatabaseName {
        DatabaseName::new("db").unwrap()
    }

    fn at(txid: u64, checksum: u64) -> Position {
        Position { txid: Txid::new(txid), checksum: Checksum::new(checksum) }
    }

    fn header(node_id: NodeId, min: u64, max: u64, pre_apply: u64) -> Header {
        Header {
            compressed: true,
            page_size: PageSize::new(4096).unwrap(),
            commit: 2,
            min_txid: Txid::new(min),
            max_txid: Txid::new(max),
            timestamp_ms: 0,
            pre_apply: Checksum::new(pre_apply),
            wal_offset: 0,
            wal_size: 0,
            wal_salt: [0, 0],
            node_id,
        }
    }

    fn receiver(local: Position) -> Receiver {
        let mut receiver = Receiver::new(OWN);
        receiver.connect([(name(), local)].into());
        receiver
    }

    fn mismatch(local: Position, expected: Position) -> Admission {
        Admission::Reconnect(PositionMismatch { local, expected })
    }

    #[test]
    fn admission_follows_from_position_and_header() {
        let here = at(7, 70);
        let replace = |diverged| Admission::Replace { local: here, diverged };
        let rows = [
            ("it follows", here, header(OTHER, 8, 8, 70), Admission::Apply),
            ("it follows, several transactions in one", here, header(OTHER, 8, 9, 70), Admission::Apply),
            ("it follows, and is our own that failed here", here, header(OWN, 8, 8, 70), Admission::Apply),
            ("our own that is here already", here, header(OWN, 7, 7, 60), Admission::Skip),
            ("our own that does not follow", here, header(OWN, 9, 9, 80), mismatch(here, at(8, 80))),
            ("it starts from another checksum", here, header(OTHER, 8, 8, 71), mismatch(here, at(7, 71))),
            ("there is a gap", here, header(OTHER, 9, 9, 80), mismatch(here, at(8, 80))),
            ("it is here already", here, header(OTHER, 7, 7, 60), mismatch(here, at(6, 60))),
            (
                "transaction for an empty database",
                at(0, 0),
                header(OTHER, 2, 2, 10),
                mismatch(at(0, 0), at(1, 10)),
            ),
            ("snapshot of an empty database", at(0, 0), header(OTHER, 1, 9, 0), Admission::Apply),
            ("snapshot that is ahead", here, header(OTHER, 1, 9, 0), replace(false)),
            ("snapshot of the same transaction", here, header(OTHER, 1, 7, 0), replace(false)),
            ("snapshot that is behind", here, header(OTHER, 1, 6, 0), replace(true)),
            ("our own snapshot that is behind", here, header(OWN, 1, 6, 0), Admission::Skip),
            ("our own snapshot that is ahead", here, header(OWN, 1, 9, 0), replace(false)),
        ];
        for (what, local, header, admission) in rows {
            assert_eq!(receiver(local).begin(&name(), &header), admission, "{what}");
        }
    }

    #[test]
    fn verdict_follows_from_header_pages_and_trailer() {
        let drop = Header { commit: 0, ..header(OTHER, 8, 8, 70) };
        let txid = Txid::new(8);
        let no_pages =
            Unappliable::NoPages { txid, pre_apply: Checksum::new(70), post_apply: Checksum::new(80) };
        let not_empty = Unappliable::DropWithChecksum { txid, post_apply: Checksum::new(80) };
        let rows = [
            ("pages change the checksum", header(OTHER, 8, 8, 70), 1, 80, Ok(at(8, 80))),
            ("pages leave the checksum", header(OTHER, 8, 8, 70), 1, 70, Ok(at(8, 70))),
            ("nothing changes", header(OTHER, 8, 8, 70), 0, 70, Ok(at(8, 70))),
            ("the checksum changes without a page", header(OTHER, 8, 8, 70), 0, 80, Err(no_pages)),
            ("a drop", drop, 0, 1 << 63, Ok(at(8, 1 << 63))),
            ("a drop that leaves a checksum", drop, 0, 80, Err(not_empty)),
        ];
        for (what, header, pages, post_apply, verdict) in rows {
            let mut receiver = receiver(at(7, 70));
            assert_eq!(receiver.end(&name(), &header, pages, Checksum::new(post_apply)), verdict, "{what}");
            let (position, announced) = match verdict {
                Ok(position) => (position, at(7, 70)),
                Err(_) => (at(7, 70), Position::ZERO),
            };
            assert_eq!(receiver.position(&name()), position, "{what}");
            assert_eq!(receiver.connect([(name(), at(7, 70))].into())[&name()], announced, "{what}");
        }
    }

    #[test]
    fn files_are_judged_by_what_was_accepted_before_them() {
        let mut receiver = receiver(at(7, 70));
        receiver.end(&name(), &header(OTHER, 8, 8, 70), 1, Checksum::new(80)).unwrap();
        assert_eq!(receiver.begin(&name(), &header(OTHER, 9, 9, 80)), Admission::Apply);
    }

    #[test]
    fn replica_asks_for_a_snapshot_when_announcing_its_position_again_did_not_help() {
        let mut receiver = receiver(at(7, 70));
        let stray = header(OTHER, 9, 9, 80);
        assert!(matches!(receiver.begin(&name(), &stray), Admission::Reconnect(_)));
        assert_eq!(receiver.connect([(name(), at(7, 70))].into())[&name()], at(7, 70));
        assert!(matches!(receiver.begin(&name(), &stray), Admission::Reconnect(_)));
        assert_eq!(receiver.connect([(name(), at(7, 70))].into())[&name()], Position::ZERO);
        assert!(
            matches!(receiver.begin(&name(), &header(OTHER, 8, 8, 70)), Admission::Reconnect(_)),
            "after asking for a snapshot only a snapshot will do"
        );
        let snapshot = header(OTHER, 1, 9, 0);
        assert!(matches!(receiver.begin(&name(), &snapshot), Admission::Replace { .. }));
        receiver.end(&name(), &snapshot, 2, Checksum::new(90)).unwrap();
        assert_eq!(receiver.connect([(name(), at(9, 90))].into())[&name()], at(9, 90));
    }

    #[test]
    fn progress_between_two_mismatches_does_not_lead_to_a_snapshot() {
        let mut receiver = receiver(at(7, 70));
        assert!(matches!(receiver.begin(&name(), &header(OTHER, 9, 9, 80)), Admission::Reconnect(_)));
        receiver.connect([(name(), at(8, 80))].into());
        assert!(matches!(receiver.begin(&name(), &header(OTHER, 10, 10, 90)), Admission::Reconnect(_)));
        assert_eq!(receiver.connect([(name(), at(8, 80))].into())[&name()], at(8, 80));
    }
}
