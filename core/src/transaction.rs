use alloc::vec::Vec;

use crate::{Checksum, PageNumber, Position, ltx};

/// A committed transaction whose pages still lie in the database's own files: a plan for one LTX file.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// The header of the LTX file.
    pub header: ltx::Header,
    /// The changed pages, ascending, without the lock page.
    pub pages: Vec<(PageNumber, PageSource)>,
    /// The checksum of the database after the transaction.
    pub post_apply: Checksum,
}

/// Where a page of a transaction can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSource {
    /// In the database file, at its place; zeros where the file ends before it.
    Database,
    /// In the WAL, as the page of the frame that begins at this offset in bytes.
    Frame(u64),
}

impl Transaction {
    /// The position after the transaction.
    pub fn position(&self) -> Position {
        Position { txid: self.header.max_txid, checksum: self.post_apply }
    }
}
