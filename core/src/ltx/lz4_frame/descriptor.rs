use twox_hash::xxhash32::Hasher;

use super::MAGIC;
use crate::bytes::array;

const INDEPENDENT: u8 = 1 << 5;
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const RESERVED: u8 = 1 << 1;
const DICTIONARY: u8 = 1;

/// What the beginning of a frame says about the rest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Descriptor {
    /// No block refers to content of the blocks before it.
    pub(super) independent: bool,
    /// Each block is followed by a checksum of its stored bytes.
    pub(super) block_checksums: bool,
    /// The frame ends with a checksum of its content.
    pub(super) content_checksum: bool,
    /// Bytes of content.
    pub(super) content_size: Option<u64>,
    /// Most bytes a block has after decompression.
    pub(super) max_block: usize,
}

impl Descriptor {
    /// The descriptor at the start of `input` and its length including the magic number, or `None` if `input` ends
    /// before it does.
    pub(super) fn read(input: &[u8]) -> Result<Option<(Self, usize)>, DescriptorError> {
        let Some(&found) = input.first_chunk() else { return Ok(None) };
        if found != MAGIC {
            return Err(DescriptorError::Magic { found });
        }
        let Some(&[flags, block]) = input.get(4..6) else { return Ok(None) };
        if flags >> 6 != 1 || flags & RESERVED != 0 || block & 0x8f != 0 || block >> 4 < 4 {
            return Err(DescriptorError::Unknown { flags, block });
        }
        if flags & DICTIONARY != 0 {
            return Err(DescriptorError::Dictionary);
        }
        let has_size = flags & CONTENT_SIZE != 0;
        let checked = 4..if has_size { 14 } else { 6 };
        let Some(&found) = input.get(checked.end) else { return Ok(None) };
        let expected = (Hasher::oneshot(0, &input[checked.clone()]) >> 8) as u8;
        if found != expected {
            return Err(DescriptorError::Checksum { found, expected });
        }
        let descriptor = Self {
            independent: flags & INDEPENDENT != 0,
            block_checksums: flags & BLOCK_CHECKSUMS != 0,
            content_checksum: flags & CONTENT_CHECKSUM != 0,
            content_size: has_size.then(|| u64::from_le_bytes(array(input, 6))),
            // 4 is 64 KiB, each step after it is four times as much.
            max_block: 1 << (8 + 2 * usize::from(block >> 4)),
        };
        Ok(Some((descriptor, checked.end + 1)))
    }
}

/// Why bytes are not the beginning of an LZ4 frame that can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DescriptorError {
    /// The frame begins differently.
    #[error("not an LZ4 frame: it begins with {found:02x?}, expected {MAGIC:02x?}")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The frame uses features of a later version of the format.
    #[error("LZ4 frame descriptor {flags:#04x} {block:#04x} is not known")]
    Unknown {
        /// The flags.
        flags: u8,
        /// The sizes of blocks.
        block: u8,
    },
    /// The content can only be read with a dictionary.
    #[error("the LZ4 frame asks for a dictionary, which LTX files do not have")]
    Dictionary,
    /// The descriptor is damaged.
    #[error("LZ4 frame descriptor with checksum {found:#04x}, its content gives {expected:#04x}")]
    Checksum {
        /// The checksum in the frame.
        found: u8,
        /// The checksum of the descriptor.
        expected: u8,
    },
}
