use litefs_core::database::{Admission, Applied, Inspector, Received, StopReason};
use litefs_core::drive::Driver;
use litefs_core::ltx::{Encoder, Header};
use litefs_core::{Checksum, Disk, Errno, File, NodeId, PageNumber, PageSize, PageSums, Txid};

use super::content;
use super::node::{NOW, Node};
use super::script::Script;
use super::wal_writer::WalWriter;
use crate::memory_disk::MemoryDisk;

/// A transaction from another node.
#[derive(Debug)]
pub(super) struct Transfer {
    file: Vec<u8>,
    received: Received,
    pages: Vec<(PageNumber, Vec<u8>)>,
}

impl Transfer {
    /// The transaction that the script describes, if it can be one: what follows the position of the database, or a
    /// snapshot, or what lies about either.
    pub(super) fn read(node: &Node, page_size: PageSize, script: &mut Script<'_>) -> Option<Self> {
        let (kind, count, lie) = (script.byte(), u32::from(script.byte()), script.byte());
        let database = node.driver.database();
        let position = database.position();
        let snapshot = kind & 1 != 0 || position.txid == Txid::ZERO;
        let wal = kind & 2 != 0;
        let count = if lie == 1 { count << 24 | 0xffff } else { count % 12 };
        let wanted = |number: u32| snapshot || number > database.page_count() || script_bit(kind, number);
        let mut pages = Vec::new();
        for number in (1..=count.min(12)).filter_map(PageNumber::new) {
            let fill = script.byte();
            if wanted(number.get()) {
                pages.push((number, content::page(page_size, number, fill, count, wal)));
            }
        }
        let mut sums = if snapshot { PageSums::default() } else { database.sums().clone() };
        let changes: Vec<_> =
            pages.iter().map(|(number, content)| (*number, Checksum::of_page(*number, content))).collect();
        let mut post_apply = sums.total_after(&changes, count);
        if lie != 1 {
            sums.resize(count);
        }
        if lie == 2 {
            post_apply = Checksum::new(post_apply.get() ^ 1);
        }
        let txid = if snapshot {
            Txid::new(1 + u64::from(kind >> 4))
        } else if lie == 3 {
            Txid::new(position.txid.get() + 1 + u64::from(kind >> 4))
        } else {
            position.txid.next()
        };
        let header = Header {
            compressed: kind & 4 != 0,
            page_size,
            commit: count,
            min_txid: if snapshot { Txid::new(1) } else { txid },
            max_txid: txid,
            timestamp_ms: NOW.wall_ms,
            pre_apply: if snapshot { Checksum::ZERO } else { position.checksum },
            wal_offset: 0,
            wal_size: 0,
            wal_salt: [0, 0],
            node_id: NodeId::new(9),
        };
        let mut encoder = Encoder::new(header).ok()?;
        for (number, content) in &pages {
            encoder.page(*number, content).ok()?;
        }
        encoder.finish(post_apply).ok()?;
        let file = std::mem::take(encoder.output());
        let mut inspector = Inspector::default();
        inspector.feed(&file).ok()?;
        let received = inspector.finish().ok()?;
        Some(Self { file, received, pages })
    }

    /// Has the node take the transaction. Returns whether it did.
    pub(super) fn apply(&self, node: &mut Node, wal: Option<&mut WalWriter>) -> bool {
        let len = self.file.len() as u64;
        let Ok(admission) = node.driver.receive(&self.received, &&self.file[..], len) else { return false };
        if admission == Admission::Old {
            return false;
        }
        node.received = Some(self.received.position());
        let applied = match wal {
            Some(wal) => self.append_to_wal(&node.disk, wal),
            // The log has to be durable before it is what brings back pages that are half written.
            None => node
                .driver
                .sync_log()
                .and_then(|()| self.write_to_database(&node.disk))
                .map(|()| Applied::Direct),
        };
        match applied {
            Ok(applied) => {
                let noted = node.driver.applied(&self.received, applied);
                noted.is_ok()
            }
            Err(errno) => {
                node.driver.database_mut().stop(StopReason::Unapplied(errno));
                false
            }
        }
    }

    /// Whether the pages can go to this WAL.
    pub(super) fn fits(&self, driver: &Driver<MemoryDisk>, wal: &WalWriter) -> bool {
        let header = &self.received.header;
        driver.database().wal_end() == Some(wal.end())
            && header.page_size == wal.header.page_size
            && header.commit != 0
            && !self.pages.is_empty()
            && !header.is_snapshot()
    }

    fn write_to_database(&self, disk: &MemoryDisk) -> Result<(), Errno> {
        let header = &self.received.header;
        for (number, content) in &self.pages {
            disk.write_at(File::Database, header.page_size.offset_of(*number), content)?;
        }
        if header.commit == 0 {
            return disk.remove(File::Database);
        }
        disk.set_len(File::Database, u64::from(header.commit) * u64::from(header.page_size.get()))
    }

    fn append_to_wal(&self, disk: &MemoryDisk, wal: &mut WalWriter) -> Result<Applied, Errno> {
        wal.undo();
        let mut frames = Vec::new();
        for (at, (number, content)) in (1..).zip(&self.pages) {
            let commit = if at == self.pages.len() { self.received.header.commit } else { 0 };
            let (offset, bytes) = wal.frame(*number, commit, content);
            disk.write_at(File::Wal, offset, &bytes)?;
            frames.push((*number, offset));
        }
        wal.commit();
        Ok(Applied::Wal { header: wal.header, frames, end: wal.end().1, chain: wal.chain() })
    }
}

fn script_bit(kind: u8, number: u32) -> bool {
    (u32::from(kind) >> 3).wrapping_add(number) % 3 == 0
}
