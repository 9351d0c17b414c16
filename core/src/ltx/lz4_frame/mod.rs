//! The LZ4 frame format, version 1.6.4 of its description, over the block codec of another crate.
//!
//! A frame is a descriptor, blocks, and a checksum of the content. Numbers are little-endian.

mod descriptor;
mod reader;
mod writer;

pub use descriptor::DescriptorError;
pub(super) use reader::{FrameReader, Progress};
pub use reader::{Lz4FrameError, Lz4Part};
pub(super) use writer::FrameWriter;

/// The first four bytes of a frame.
const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Set in the size of a block that is stored as it is.
const STORED: u32 = 1 << 31;

#[cfg(test)]
mod tests;
