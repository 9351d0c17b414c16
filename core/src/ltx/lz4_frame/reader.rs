use alloc::vec::Vec;
use core::fmt;
use core::hash::Hasher as _;

use lz4_flex::block::{decompress_into, decompress_into_with_dict};
use twox_hash::xxhash32::Hasher;

use super::STORED;
use super::descriptor::{Descriptor, DescriptorError};
use crate::bytes::le32;

/// How far back a block can refer to, in bytes.
const WINDOW_LEN: usize = 64 * 1024;

/// Most bytes that one byte of a compressed block can stand for.
const MAX_RATIO: usize = 255;

/// Reads a frame in steps, of any block size, with linked or independent blocks.
#[derive(Clone)]
pub(crate) struct FrameReader {
    /// `None` until it was read.
    descriptor: Option<Descriptor>,
    content: Hasher,
    content_len: u64,
    /// The last content, if blocks may refer to it.
    window: Vec<u8>,
}

/// What a step of a [`FrameReader`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// Nothing: the input ends before the next part of the frame does.
    NeedsMore,
    /// It read this many bytes of the input, and the frame goes on.
    Read(usize),
    /// It read this many bytes of the input, and the frame is over.
    Ended(usize),
}

impl FrameReader {
    pub(crate) fn new() -> Self {
        Self { descriptor: None, content: Hasher::with_seed(0), content_len: 0, window: Vec::new() }
    }

    /// Reads the next part of the frame, at most one block, from the start of `input`, and appends its content to
    /// `out`.
    pub(crate) fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Progress, Lz4FrameError> {
        let Some(descriptor) = self.descriptor else {
            return Ok(match Descriptor::read(input)? {
                Some((descriptor, len)) => {
                    self.descriptor = Some(descriptor);
                    Progress::Read(len)
                }
                None => Progress::NeedsMore,
            });
        };
        if input.len() < 4 {
            return Ok(Progress::NeedsMore);
        }
        match le32(input, 0) {
            0 => self.end(descriptor, input),
            field => self.block(descriptor, field, input, out),
        }
    }

    fn block(
        &mut self,
        descriptor: Descriptor,
        field: u32,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress, Lz4FrameError> {
        let len = (field & !STORED) as usize;
        if len > descriptor.max_block {
            return Err(Lz4FrameError::BlockSize { found: len, max: descriptor.max_block });
        }
        let end = 4 + len;
        let read = if descriptor.block_checksums { end + 4 } else { end };
        if input.len() < read {
            return Ok(Progress::NeedsMore);
        }
        let stored = &input[4..end];
        if descriptor.block_checksums {
            check(le32(input, end), Hasher::oneshot(0, stored), Lz4Part::Block)?;
        }
        let start = out.len();
        if field & STORED != 0 {
            out.extend_from_slice(stored);
        } else {
            out.resize(start + descriptor.max_block.min(len * MAX_RATIO), 0);
            let written = if self.window.is_empty() {
                decompress_into(stored, &mut out[start..])
            } else {
                decompress_into_with_dict(stored, &mut out[start..], &self.window)
            };
            out.truncate(start + written.map_err(|_| Lz4FrameError::Block)?);
        }
        let content = &out[start..];
        self.content_len += content.len() as u64;
        if descriptor.content_checksum {
            self.content.write(content);
        }
        if !descriptor.independent {
            self.remember(content);
        }
        Ok(Progress::Read(read))
    }

    /// Keeps the last content for the blocks that follow.
    fn remember(&mut self, content: &[u8]) {
        let tail = &content[content.len().saturating_sub(WINDOW_LEN)..];
        let over = (self.window.len() + tail.len()).saturating_sub(WINDOW_LEN);
        self.window.drain(..over);
        self.window.extend_from_slice(tail);
    }

    fn end(&self, descriptor: Descriptor, input: &[u8]) -> Result<Progress, Lz4FrameError> {
        let read = if descriptor.content_checksum { 8 } else { 4 };
        if input.len() < read {
            return Ok(Progress::NeedsMore);
        }
        if descriptor.content_checksum {
            check(le32(input, 4), self.content.finish_32(), Lz4Part::Content)?;
        }
        match descriptor.content_size {
            Some(expected) if expected != self.content_len => {
                Err(Lz4FrameError::ContentSize { found: self.content_len, expected })
            }
            _ => Ok(Progress::Ended(read)),
        }
    }
}

fn check(found: u32, computed: u32, part: Lz4Part) -> Result<(), Lz4FrameError> {
    if found == computed { Ok(()) } else { Err(Lz4FrameError::Checksum { part, found, computed }) }
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader")
            .field("descriptor", &self.descriptor)
            .field("content_len", &self.content_len)
            .finish_non_exhaustive()
    }
}

/// What a checksum in an LZ4 frame covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lz4Part {
    /// The stored bytes of one block.
    Block,
    /// All of the content.
    Content,
}

impl fmt::Display for Lz4Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "block",
            Self::Content => "content",
        })
    }
}

/// Why an LZ4 frame cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Lz4FrameError {
    /// The beginning is wrong.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// A block is larger than the frame said that blocks are.
    #[error("LZ4 block of {found} bytes in a frame whose blocks have at most {max}")]
    BlockSize {
        /// Stored bytes of the block.
        found: usize,
        /// The most that the frame allows.
        max: usize,
    },
    /// A block cannot be decompressed.
    #[error("damaged LZ4 block")]
    Block,
    /// A checksum is wrong.
    #[error("LZ4 {part} with checksum {found:08x}, its bytes give {computed:08x}")]
    Checksum {
        /// What the checksum covers.
        part: Lz4Part,
        /// The checksum in the frame.
        found: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// There is more or less content than the frame said.
    #[error("LZ4 frame with {found} bytes of content, it announced {expected}")]
    ContentSize {
        /// Bytes of content.
        found: u64,
        /// Bytes announced.
        expected: u64,
    },
}
