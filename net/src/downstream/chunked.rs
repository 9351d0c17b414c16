use std::io::{self, Read};

use bytes::Bytes;
use litefs_core::stream::{MAX_CHUNK, encode_chunks, encode_chunks_end};

/// Chunks in one piece.
const CHUNKS: usize = 4;

/// Turns a reader into pieces of a replication stream, each of some chunks.
#[derive(Debug)]
pub(crate) struct Chunked<R> {
    source: R,
    chunk: Vec<u8>,
    ended: bool,
}

impl<R: Read> Chunked<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, chunk: vec![0; MAX_CHUNK], ended: false }
    }

    /// The next piece, or `None` after the one that ends the chunks. Blocks as the reader does.
    pub(crate) fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let mut piece = Vec::with_capacity(CHUNKS * (MAX_CHUNK + 2));
        for _ in 0..CHUNKS {
            let len = self.fill()?;
            encode_chunks(&self.chunk[..len], &mut piece);
            if len < self.chunk.len() {
                encode_chunks_end(&mut piece);
                self.ended = true;
                break;
            }
        }
        Ok(Some(Bytes::from(piece)))
    }

    /// Reads a whole chunk, or what is left.
    fn fill(&mut self) -> io::Result<usize> {
        let mut len = 0;
        while len < self.chunk.len() {
            match self.source.read(&mut self.chunk[len..]) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_becomes_chunks_with_one_end_whatever_its_length() {
        for len in [0, 1, MAX_CHUNK - 1, MAX_CHUNK, MAX_CHUNK + 1, CHUNKS * MAX_CHUNK, CHUNKS * MAX_CHUNK + 1]
        {
            let file: Vec<u8> = (0..len).map(|index| index as u8).collect();
            let mut expected = Vec::new();
            encode_chunks(&file, &mut expected);
            encode_chunks_end(&mut expected);
            let mut chunked = Chunked::new(file.as_slice());
            let mut pieces = Vec::new();
            while let Some(piece) = chunked.next_piece().unwrap() {
                assert!(!piece.is_empty());
                pieces.extend_from_slice(&piece);
            }
            assert!(pieces == expected, "{len} bytes");
        }
    }
}
