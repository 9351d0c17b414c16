use alloc::vec::Vec;
use core::fmt;
use core::hash::Hasher as _;

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use twox_hash::xxhash32::Hasher;

use super::{MAGIC, STORED};

/// Bytes in a block before compression.
const BLOCK_LEN: usize = 64 * 1024;

/// Version 1, independent blocks, checksum of the content; blocks of 64 KiB; the checksum of these two bytes.
const DESCRIPTOR: [u8; 3] = [0x64, 0x40, 0xa7];

/// Writes a frame of independent 64 KiB blocks.
pub(crate) struct FrameWriter {
    /// What the next block will hold.
    block: Vec<u8>,
    content: Hasher,
    table: CompressTable,
}

impl FrameWriter {
    pub(crate) fn new() -> Self {
        Self { block: Vec::new(), content: Hasher::with_seed(0), table: CompressTable::default() }
    }

    /// Begins a frame, whatever became of the last one.
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        self.block.clear();
        self.content = Hasher::with_seed(0);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&DESCRIPTOR);
    }

    /// Adds content to the frame. Full blocks are appended to `out`.
    pub(crate) fn write(&mut self, mut content: &[u8], out: &mut Vec<u8>) {
        self.content.write(content);
        while !content.is_empty() {
            let fits = content.len().min(BLOCK_LEN - self.block.len());
            self.block.extend_from_slice(&content[..fits]);
            content = &content[fits..];
            if self.block.len() == BLOCK_LEN {
                self.write_block(out);
            }
        }
    }

    /// Ends the frame.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.block.is_empty() {
            self.write_block(out);
        }
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.content.finish_32().to_le_bytes());
    }

    fn write_block(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        let content_start = start + 4;
        out.resize(content_start + get_maximum_output_size(self.block.len()), 0);
        let compressed = compress_into_with_table(&self.block, &mut out[content_start..], &mut self.table);
        let size = match compressed {
            Ok(len) if len < self.block.len() => {
                out.truncate(content_start + len);
                len as u32
            }
            // Not worth it.
            _ => {
                out.truncate(content_start);
                out.extend_from_slice(&self.block);
                self.block.len() as u32 | STORED
            }
        };
        out[start..content_start].copy_from_slice(&size.to_le_bytes());
        self.block.clear();
    }
}

impl fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriter").field("block_len", &self.block.len()).finish_non_exhaustive()
    }
}
