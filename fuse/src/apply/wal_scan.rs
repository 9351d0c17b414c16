use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use litefs_core::PageNumber;
use litefs_core::sqlite::wal::{self, FRAME_HEADER_LEN, FrameHeader, WalChecksum, WalHeader};

/// Reads the valid frames of a WAL from some frame on.
#[derive(Debug)]
pub(super) struct WalScan<'f> {
    file: &'f File,
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

impl<'f> WalScan<'f> {
    /// Over the frames after the first `frames`, whose running checksum is `chain`.
    pub(super) fn new(file: &'f File, header: WalHeader, frames: u32, chain: WalChecksum) -> Self {
        let len = FRAME_HEADER_LEN + header.page_size.bytes();
        Self { file, header, chain, frames, frame: vec![0; len] }
    }

    /// The next frame, or `None` where the valid ones end.
    pub(super) fn next(&mut self) -> io::Result<Option<ScannedFrame>> {
        let offset = wal::frame_offset(self.frames, self.header.page_size);
        match self.file.read_exact_at(&mut self.frame, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
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
pub(super) fn read_header(file: &File) -> io::Result<Option<WalHeader>> {
    let mut bytes = [0; wal::HEADER_LEN];
    match file.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        other => other.map(|()| WalHeader::decode(&bytes).ok()),
    }
}
