use alloc::vec;
use alloc::vec::Vec;

use crate::sqlite::wal::{self, FRAME_HEADER_LEN, FrameHeader, WalChecksum, WalHeader};
use crate::{Errno, PageNumber, ReadAt};

/// Reads the valid frames of a WAL from some frame on.
#[derive(Debug)]
pub(super) struct WalScan<'f, F> {
    file: &'f F,
    header: WalHeader,
    chain: WalChecksum,
    frames: u32,
    frame: Vec<u8>,
}

/// A valid frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScannedFrame {
    pub(super) page: PageNumber,
    /// Pages of the database if the frame ends a transaction, otherwise zero.
    pub(super) commit: u32,
    /// The running checksum after the frame.
    pub(super) chain: WalChecksum,
}

impl<'f, F: ReadAt> WalScan<'f, F> {
    /// Over the frames after the first `frames`, whose running checksum is `chain`.
    pub(super) fn new(file: &'f F, header: WalHeader, frames: u32, chain: WalChecksum) -> Self {
        let len = FRAME_HEADER_LEN + header.page_size.bytes();
        Self { file, header, chain, frames, frame: vec![0; len] }
    }

    /// The next frame, or `None` where the valid ones end.
    pub(super) fn next(&mut self) -> Result<Option<ScannedFrame>, Errno> {
        let offset = wal::frame_offset(self.frames, self.header.page_size);
        if self.file.read_at(offset, &mut self.frame)? < self.frame.len() {
            return Ok(None);
        }
        let (head, content) = self.frame.split_at(FRAME_HEADER_LEN);
        let Some(head) = FrameHeader::decode(head) else { return Ok(None) };
        if !head.continues(&self.header, self.chain, content) {
            return Ok(None);
        }
        self.chain = head.checksum;
        self.frames += 1;
        Ok(Some(ScannedFrame { page: head.page, commit: head.commit, chain: head.checksum }))
    }
}

/// The header of the WAL, if it has a valid one.
pub(super) fn read_header(file: &impl ReadAt) -> Result<Option<WalHeader>, Errno> {
    let mut bytes = [0; wal::HEADER_LEN];
    if file.read_at(0, &mut bytes)? < bytes.len() { Ok(None) } else { Ok(WalHeader::decode(&bytes).ok()) }
}
