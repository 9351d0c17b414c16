use litefs_core::sqlite::wal::{self, ByteOrder, FRAME_HEADER_LEN, FrameHeader, WalChecksum, WalHeader};
use litefs_core::sqlite::wal_index;
use litefs_core::{PageNumber, PageSize};

/// What a program knows that writes to the WAL.
#[derive(Clone, Copy, Debug)]
pub(super) struct WalWriter {
    pub(super) header: WalHeader,
    chain: WalChecksum,
    end: u64,
    frames: u32,
    /// The same as after the last commit.
    committed: (WalChecksum, u64, u32),
}

impl WalWriter {
    pub(super) fn new(page_size: PageSize, salt: u8, big: bool) -> Self {
        let order = if big { ByteOrder::Big } else { ByteOrder::Little };
        let header = WalHeader::new(order, page_size, u32::from(salt), [u32::from(salt); 2]);
        let end = wal::HEADER_LEN as u64;
        Self { chain: header.checksum, header, end, frames: 0, committed: (header.checksum, end, 0) }
    }

    /// The next frame, and where it goes. The writer goes on after it.
    pub(super) fn frame(&mut self, page: PageNumber, commit: u32, content: &[u8]) -> (u64, Vec<u8>) {
        let frame = FrameHeader::new(&self.header, self.chain, page, commit, content);
        let at = self.end;
        self.chain = frame.checksum;
        self.end += (FRAME_HEADER_LEN + content.len()) as u64;
        self.frames += 1;
        (at, [&frame.encode()[..], content].concat())
    }

    /// Everything so far is committed.
    pub(super) fn commit(&mut self) {
        self.committed = (self.chain, self.end, self.frames);
    }

    /// Goes back to the last commit.
    pub(super) fn undo(&mut self) {
        (self.chain, self.end, self.frames) = self.committed;
    }

    /// The salts, and where the committed frames end.
    pub(super) fn end(&self) -> ([u32; 2], u64) {
        (self.header.salt, self.committed.1)
    }

    /// The running checksum after the committed frames.
    pub(super) fn chain(&self) -> WalChecksum {
        self.committed.0
    }

    /// A wal-index that says that a checkpoint has copied all committed frames.
    pub(super) fn index_after_checkpoint(&self, page_count: u32) -> Vec<u8> {
        let (frame_checksum, _, max_frame) = self.committed;
        let header = wal_index::Header {
            change: 1,
            byte_order: self.header.byte_order,
            page_size: Some(self.header.page_size),
            max_frame,
            page_count,
            frame_checksum,
            salt: self.header.salt,
        };
        [&header.encode()[..], &header.encode(), &max_frame.to_le_bytes()].concat()
    }
}
