use alloc::vec::Vec;

use crate::PageNumber;
use crate::sqlite::wal::{FRAME_HEADER_LEN, FrameHeader, WalChecksum, WalHeader};

/// Frames on their way to the WAL.
pub(super) struct WalBatch {
    pub(super) header: WalHeader,
    /// The running checksum after the finished frames.
    pub(super) chain: WalChecksum,
    /// Where `bytes` go, in bytes from the start of the file.
    pub(super) start: u64,
    /// The last frame in here has no header yet: whether it ends the transaction is not known before the next page.
    pub(super) bytes: Vec<u8>,
    /// How many of the bytes can be written.
    pub(super) finished: usize,
    pub(super) frames: Vec<(PageNumber, u64)>,
}

impl WalBatch {
    pub(super) fn push(&mut self, page: PageNumber, content: &[u8]) {
        self.finish_last(0);
        self.finished = self.bytes.len();
        self.frames.push((page, self.start + self.bytes.len() as u64));
        self.bytes.extend_from_slice(&[0; FRAME_HEADER_LEN]);
        self.bytes.extend_from_slice(content);
    }

    /// Makes the last frame end the transaction. Returns where it begins.
    pub(super) fn commit(&mut self, commit: u32) -> u64 {
        self.finish_last(commit);
        self.finished = self.bytes.len();
        self.frames.last().map_or(self.start, |(_, offset)| *offset)
    }

    fn finish_last(&mut self, commit: u32) {
        let Some((page, offset)) = self.frames.last() else { return };
        let at = (offset - self.start) as usize;
        let (head, content) = self.bytes[at..].split_at_mut(FRAME_HEADER_LEN);
        let header = FrameHeader::new(&self.header, self.chain, *page, commit, content);
        self.chain = header.checksum;
        head.copy_from_slice(&header.encode());
    }
}
