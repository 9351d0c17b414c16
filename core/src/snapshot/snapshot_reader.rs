use alloc::vec;
use alloc::vec::Vec;

use super::{Image, Scratch, SnapshotError};
use crate::{Checksum, NodeId, PageNumber, Position, ReadAt, Txid, ltx};

/// Bytes that are produced at a time.
const CHUNK: usize = 256 * 1024;

/// A snapshot as an LTX file.
#[derive(Debug)]
pub struct SnapshotReader<F, S> {
    image: Image<F, S>,
    encoder: ltx::Encoder,
    next: u32,
    page: Vec<u8>,
    /// Bytes of the encoder's output that were read.
    taken: usize,
    finished: bool,
}

impl<F: ReadAt, S: Scratch> SnapshotReader<F, S> {
    /// Of an image, made by this node at this time.
    ///
    /// # Errors
    /// The image is not that of a database.
    pub fn new(
        image: Image<F, S>,
        compressed: bool,
        node_id: NodeId,
        timestamp_ms: i64,
    ) -> Result<Self, SnapshotError> {
        let header = ltx::Header {
            compressed,
            page_size: image.page_size(),
            commit: image.page_count(),
            min_txid: Txid::new(1),
            max_txid: image.position().txid,
            timestamp_ms,
            pre_apply: Checksum::ZERO,
            wal_offset: 0,
            wal_size: 0,
            wal_salt: [0, 0],
            node_id,
        };
        let page = vec![0; image.page_size().bytes()];
        let encoder = ltx::Encoder::new(header)?;
        Ok(Self { image, encoder, next: 1, page, taken: 0, finished: false })
    }

    /// The position of the image.
    pub fn position(&self) -> Position {
        self.image.position()
    }

    /// Reads some of the bytes that follow; none at the end of the file.
    ///
    /// # Errors
    /// See [`SnapshotError`]. What was read so far is worth nothing.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, SnapshotError> {
        if self.taken == self.encoder.output().len() {
            if self.finished {
                return Ok(0);
            }
            self.fill()?;
        }
        let from = self.taken;
        let rest = &self.encoder.output()[from..];
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        self.taken += len;
        Ok(len)
    }

    fn fill(&mut self) -> Result<(), SnapshotError> {
        self.encoder.output().clear();
        self.taken = 0;
        while self.encoder.output().len() < CHUNK && !self.finished {
            if self.next > self.image.page_count() {
                self.encoder.finish(self.image.checksum())?;
                self.finished = true;
                break;
            }
            let lock_page = self.image.page_size().lock_page();
            if let Some(page) = PageNumber::new(self.next).filter(|page| *page != lock_page) {
                self.image.read(page, &mut self.page)?;
                self.encoder.page(page, &self.page)?;
            }
            self.next += 1;
        }
        Ok(())
    }
}
