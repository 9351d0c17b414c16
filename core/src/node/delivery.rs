use crate::database::Received;
use crate::ltx::Header;
use crate::{Checksum, DatabaseName, Position};

/// An LTX file that arrived, complete and verified. Its bytes stay with whoever received them, under this number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Delivery(pub u64);

/// What a node has to know of an LTX file that arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrived {
    /// Its header.
    pub header: Header,
    /// Pages in it.
    pub pages: u64,
    /// The checksum of the database after it.
    pub post_apply: Checksum,
    /// What it takes of the room for transactions that wait, in bytes.
    pub size: usize,
}

impl Arrived {
    /// What `received` comes to, which takes `size` bytes of room.
    pub fn new(received: &Received, size: usize) -> Self {
        let pages = received.sums.len() as u64;
        Self { header: received.header, pages, post_apply: received.post_apply, size }
    }

    /// Where the database is once this is applied.
    pub fn position(&self) -> Position {
        Position { txid: self.header.max_txid, checksum: self.post_apply }
    }
}

/// What a snapshot takes the place of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Replaces {
    /// Where the database is.
    pub local: Position,
    /// The database certainly has transactions that the primary does not know. Otherwise that is not known.
    pub diverged: bool,
}

/// Something to apply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Application {
    /// The LTX file.
    pub delivery: Delivery,
    /// The database.
    pub database: DatabaseName,
    /// Set when the file is a snapshot that takes the place of other data.
    pub replaces: Option<Replaces>,
}

/// Why a transaction was not applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The database is not where the transaction starts.
    Position,
    /// The transaction cannot be applied to what the database contains, although the position is right.
    NeedsSnapshot,
    /// It could not be stored, for now.
    Storage,
}
