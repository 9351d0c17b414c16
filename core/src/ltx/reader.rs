use alloc::vec::Vec;
use core::ops::Range;

use super::{DecodeError, Decoder, Item};
use crate::{Errno, ReadAt};

/// Most bytes read from the source at once.
const CHUNK_LEN: usize = 64 * 1024;

/// Reads an LTX file that lies in a range of a larger file.
#[derive(Debug)]
pub struct Reader<R> {
    decoder: Decoder,
    source: R,
    /// What was not read yet.
    range: Range<u64>,
    chunk: Vec<u8>,
}

impl<R: ReadAt> Reader<R> {
    /// Of the bytes of `source` in `range`.
    pub fn new(source: R, range: Range<u64>) -> Self {
        Self { decoder: Decoder::new(), source, range, chunk: Vec::new() }
    }

    /// Reads the next item; `None` after [`Item::End`]. An error in the format stays, one of the source may go away.
    // Not an iterator: the item borrows from the reader.
    #[expect(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, ReadError> {
        while !self.decoder.advance()? {
            let want = CHUNK_LEN
                .min(usize::try_from(self.range.end.saturating_sub(self.range.start)).unwrap_or(CHUNK_LEN));
            self.chunk.resize(want, 0);
            let read = self.source.read_at(self.range.start, &mut self.chunk)?;
            if read == 0 {
                self.decoder.finish()?;
                return Ok(None);
            }
            self.decoder.feed(&self.chunk[..read]);
            self.range.start += read as u64;
        }
        Ok(self.decoder.next()?)
    }
}

/// Why an LTX file in another file cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// The other file cannot be read.
    #[error("cannot read LTX file: {0}")]
    Io(#[from] Errno),
    /// What was read is not an LTX file.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}
