//! Chunks: how a file of unknown length stands in the replication stream. Each is its length (2 bytes, big-endian) and as
//! many bytes; a length of zero ends the file. Where one chunk ends and the next begins means nothing.

use alloc::vec::Vec;

/// Most bytes in one chunk.
pub const MAX_CHUNK: usize = u16::MAX as usize;

/// Appends `bytes` to `out`, as few chunks as possible.
pub fn encode_chunks(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.chunks(MAX_CHUNK) {
        out.extend_from_slice(&(chunk.len() as u16).to_be_bytes());
        out.extend_from_slice(chunk);
    }
}

/// Appends the end of the file to `out`.
pub fn encode_chunks_end(out: &mut Vec<u8>) {
    out.extend_from_slice(&0u16.to_be_bytes());
}

/// Reads chunks whose bytes arrive in pieces.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ChunkReader {
    /// Bytes of the current chunk that did not arrive yet.
    rest: usize,
    ended: bool,
}

/// What stands next in the chunks of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Chunk {
    /// Bytes of the file, at this offset of the input. The input is used up to their end.
    Data {
        /// Where they begin.
        start: usize,
        /// Where they end.
        end: usize,
    },
    /// The file is over; this many bytes of the input belonged to it.
    End {
        /// The length.
        used: usize,
    },
    /// More bytes are needed; none of the input was used.
    NeedsMore,
}

impl ChunkReader {
    /// Before the first chunk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads from the front of `input`, which are the bytes after those used before. After [`Chunk::End`] there is no more
    /// to read.
    pub fn read(&mut self, input: &[u8]) -> Chunk {
        if self.ended {
            return Chunk::End { used: 0 };
        }
        let mut start = 0;
        if self.rest == 0 {
            let Some(len) = input.first_chunk() else { return Chunk::NeedsMore };
            self.rest = usize::from(u16::from_be_bytes(*len));
            start = len.len();
            if self.rest == 0 {
                self.ended = true;
                return Chunk::End { used: start };
            }
        }
        let end = input.len().min(start + self.rest);
        if end == 0 {
            return Chunk::NeedsMore;
        }
        self.rest -= end - start;
        Chunk::Data { start, end }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chunks_are_length_and_bytes_and_end_with_zero() {
        let mut out = Vec::new();
        encode_chunks(b"abc", &mut out);
        encode_chunks(b"", &mut out);
        encode_chunks(b"d", &mut out);
        encode_chunks_end(&mut out);
        assert_eq!(out, b"\0\x03abc\0\x01d\0\0");
    }

    #[test]
    fn long_file_is_split_at_the_longest_chunk() {
        let mut out = Vec::new();
        encode_chunks(&[7; MAX_CHUNK + 1], &mut out);
        assert_eq!(out.len(), 2 + MAX_CHUNK + 2 + 1);
        assert_eq!(out[..2], [0xff, 0xff]);
        assert_eq!(out[2 + MAX_CHUNK..], [0, 1, 7]);
    }

    proptest! {
        #[test]
        fn file_is_read_back_wherever_chunks_and_pieces_are_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..8),
            pieces in prop::collection::vec(1..40usize, 1..20),
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                encode_chunks(chunk, &mut bytes);
            }
            encode_chunks_end(&mut bytes);
            let total = bytes.len();
            bytes.extend_from_slice(b"next frame");
            let (mut reader, mut file) = (ChunkReader::new(), Vec::new());
            let (mut used, mut arrived) = (0, 0);
            let mut pieces = pieces.into_iter().cycle();
            loop {
                match reader.read(&bytes[used..arrived]) {
                    Chunk::Data { start, end } => {
                        file.extend_from_slice(&bytes[used + start..used + end]);
                        used += end;
                    }
                    Chunk::End { used: last } => {
                        used += last;
                        break;
                    }
                    Chunk::NeedsMore => arrived = bytes.len().min(arrived + pieces.next().unwrap()),
                }
            }
            prop_assert_eq!(used, total);
            prop_assert_eq!(file, chunks.concat());
            prop_assert_eq!(reader.read(&bytes[used..]), Chunk::End { used: 0 });
        }
    }
}
