//! What a database's machine is told once.

use crate::{Checksum, NodeId, Now, PageSize, Position, Txid, ltx};

/// What the machine is told once. Data, so that production and simulation run the same code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// This node, as it is named in the LTX files it creates.
    pub node_id: NodeId,
    /// Whether new LTX files are compressed.
    pub compress: bool,
    /// Captured transactions that may wait for the log before a writer has to help.
    pub backlog_max: usize,
    /// Rules of the machine that the simulator breaks to see that it notices.
    pub faults: Faults,
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

/// Deliberate mistakes, all off outside the simulator's own test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Commit in rollback mode without making the log durable first.
    pub skip_log_sync: bool,
    /// Look for a completed WAL transaction only in the frame being written.
    pub skip_rescan: bool,
    /// Leave pages out that the database grew by but that were never written.
    pub skip_unwritten_pages: bool,
    /// Let the WAL start over before its transactions are in the log.
    pub skip_barrier: bool,
}
