//! What a database's machine is told once.

use crate::{Checksum, NodeId, Now, PageSize, Planted, Position, Txid, ltx};

/// What the machine is told once. Data, so that production and simulation run the same code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// This node, as it is named in the LTX files it creates.
    pub node_id: NodeId,
    /// Whether new LTX files are compressed.
    pub compress: bool,
    /// Captured transactions that may wait for the log before a writer has to help.
    pub backlog_max: usize,
    /// The rule that the simulator breaks to see that it notices.
    pub planted: Planted,
}

impl Options {
    /// The header of the transaction that follows the database's `position` and leaves `commit` pages.
    pub(crate) fn next_header(
        &self,
        position: Position,
        page_size: PageSize,
        commit: u32,
        now: Now,
    ) -> ltx::Header {
        let txid = position.txid.next();
        ltx::Header {
            compressed: self.compress,
            page_size,
            commit,
            min_txid: txid,
            max_txid: txid,
            timestamp_ms: now.wall_ms,
            // The first transaction is a snapshot by definition: it builds on nothing.
            pre_apply: if txid == Txid::new(1) { Checksum::ZERO } else { position.checksum },
            wal_offset: 0,
            wal_size: 0,
            wal_salt: [0, 0],
            node_id: self.node_id,
        }
    }
}
