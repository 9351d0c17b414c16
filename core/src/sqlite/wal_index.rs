//! The wal-index, which SQLite keeps in the `-shm` file (WAL-mode file format 2).
//!
//! It is divided into blocks of 32 KiB. Each has the pages of a number of frames, in the order of the frames, and a
//! hash table from pages to those frames. The first block begins with the header, twice, and with how far readers and
//! the checkpoint are, so it has fewer frames.
//!
//! Numbers are in the byte order of the machine: little-endian on every machine this program runs on. Frames count
//! from 1.

use super::wal::{ByteOrder, WalChecksum};
use crate::bytes::{array, le32};
use crate::{PageNumber, PageSize};

/// Bytes of one copy of the header. The second follows the first.
pub const HEADER_LEN: usize = 48;
/// Where the number of frames stands that a checkpoint has copied to the database, in bytes.
pub const BACKFILL_OFFSET: usize = 2 * HEADER_LEN;
/// Where the five marks stand, each the last frame that the readers who hold it look at, in bytes. The first is of
/// readers who look at none, and stays zero.
pub const MARKS_OFFSET: usize = BACKFILL_OFFSET + 4;
/// Where the number of frames stands that a checkpoint may have copied to the database, in bytes. Between the marks and
/// this the bytes lie that are only ever locked.
pub const ATTEMPTED_OFFSET: usize = MARKS_OFFSET + 5 * 4 + 8;
/// A mark that no reader may hold on to.
pub const MARK_NOT_USED: u32 = u32::MAX;

/// Bytes in a block.
pub const BLOCK_BYTES: usize = 32 * 1024;
/// Slots in the hash table of a block, two bytes each: the place of a frame in the block from 1, or zero.
pub const SLOTS: usize = 8192;

/// Bytes before the frames of the first block.
const FIRST_BLOCK_START: usize = ATTEMPTED_OFFSET + 8;
/// Frames in each block but the first.
const BLOCK_FRAMES: usize = 4096;
/// Frames in the first block.
const FIRST_BLOCK_FRAMES: usize = BLOCK_FRAMES - FIRST_BLOCK_START / 4;

/// The only version of the format there has been.
const VERSION: u32 = 3_007_000;

/// How many frames a block has room for.
pub const fn frames_in(block: usize) -> usize {
    if block == 0 { FIRST_BLOCK_FRAMES } else { BLOCK_FRAMES }
}

/// The block that a frame is in.
pub const fn block_of(frame: u32) -> usize {
    (frame as usize + BLOCK_FRAMES - FIRST_BLOCK_FRAMES - 1) / BLOCK_FRAMES
}

/// The first frame in a block.
pub const fn first_frame(block: usize) -> u32 {
    if block == 0 { 1 } else { ((block - 1) * BLOCK_FRAMES + FIRST_BLOCK_FRAMES + 1) as u32 }
}

/// Where the page of a frame stands in the file, in bytes.
pub const fn page_offset(frame: u32) -> usize {
    let block = block_of(frame);
    let start = if block == 0 { FIRST_BLOCK_START } else { block * BLOCK_BYTES };
    start + (frame - first_frame(block)) as usize * 4
}

/// Where the hash table of a block begins in the file, in bytes.
pub const fn slots_offset(block: usize) -> usize {
    (block + 1) * BLOCK_BYTES - SLOTS * 2
}

/// The slot where the search for a page begins. It goes on with the next one, round the end, up to a slot with zero;
/// of several frames the last found is the newest.
pub const fn slot_of(page: PageNumber) -> usize {
    page.get().wrapping_mul(383) as usize % SLOTS
}

/// The header of the wal-index: what of the WAL readers see.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Header {
    /// Counts transactions, so that readers notice them.
    pub change: u32,
    /// The byte order of the WAL's checksums.
    pub byte_order: ByteOrder,
    /// Bytes in a page. Not known before the WAL has a frame.
    pub page_size: Option<PageSize>,
    /// Frames in the WAL up to the last transaction.
    pub max_frame: u32,
    /// Pages of the database after it.
    pub page_count: u32,
    /// The checksum of the last of these frames.
    pub frame_checksum: WalChecksum,
    /// The salts of the WAL.
    pub salt: [u32; 2],
}

impl Header {
    /// One copy of the header.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0..4].copy_from_slice(&VERSION.to_le_bytes());
        out[8..12].copy_from_slice(&self.change.to_le_bytes());
        out[12] = 1;
        out[13] = u8::from(self.byte_order == ByteOrder::Big);
        let page_size = self.page_size.map_or(0, PageSize::get);
        // The largest size does not fit and is written as 1.
        out[14..16].copy_from_slice(&((page_size | page_size >> 16) as u16).to_le_bytes());
        out[16..20].copy_from_slice(&self.max_frame.to_le_bytes());
        out[20..24].copy_from_slice(&self.page_count.to_le_bytes());
        out[24..28].copy_from_slice(&self.frame_checksum.s0.to_le_bytes());
        out[28..32].copy_from_slice(&self.frame_checksum.s1.to_le_bytes());
        // The salts are copied as they stand in the WAL.
        out[32..36].copy_from_slice(&self.salt[0].to_be_bytes());
        out[36..40].copy_from_slice(&self.salt[1].to_be_bytes());
        let checksum = checksum_of(&out);
        out[40..44].copy_from_slice(&checksum.s0.to_le_bytes());
        out[44..48].copy_from_slice(&checksum.s1.to_le_bytes());
        out
    }

    /// The header in one copy, or `None` if it was not completely written, or by a later SQLite. Readers must have
    /// found both copies the same.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let checksum = WalChecksum { s0: le32(bytes, 40), s1: le32(bytes, 44) };
        if bytes[12] == 0 || checksum != checksum_of(bytes) || le32(bytes, 0) != VERSION {
            return None;
        }
        let page_size = match u16::from_le_bytes([bytes[14], bytes[15]]) {
            0 => None,
            1 => Some(PageSize::MAX),
            size => Some(PageSize::new(u32::from(size)).ok()?),
        };
        Some(Self {
            change: le32(bytes, 8),
            byte_order: if bytes[13] == 0 { ByteOrder::Little } else { ByteOrder::Big },
            page_size,
            max_frame: le32(bytes, 16),
            page_count: le32(bytes, 20),
            frame_checksum: WalChecksum { s0: le32(bytes, 24), s1: le32(bytes, 28) },
            salt: [u32::from_be_bytes(array(bytes, 32)), u32::from_be_bytes(array(bytes, 36))],
        })
    }
}

fn checksum_of(header: &[u8; HEADER_LEN]) -> WalChecksum {
    let mut checksum = WalChecksum::default();
    checksum.update(&header[..40], ByteOrder::Little);
    checksum
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    /// What SQLite wrote before the frames, for a WAL of 5628 frames.
    const WRITTEN: &[u8; 136] = include_bytes!("../../testdata/sqlite/wal-index-header");

    #[test]
    fn header_that_sqlite_wrote_decodes_and_encodes_to_the_same_bytes() {
        let bytes = array::<HEADER_LEN>(WRITTEN, 0);
        let header = Header::decode(&bytes).unwrap();
        assert_eq!(
            header,
            Header {
                change: 901,
                byte_order: ByteOrder::Little,
                page_size: Some(PageSize::MIN),
                max_frame: 5628,
                page_count: 3618,
                // As in the header of the last frame, and the salts as in that of the WAL.
                frame_checksum: WalChecksum { s0: 0x06b2_34e0, s1: 0xef5b_0b43 },
                salt: [0xb590_d6a4, 0x2827_6bf4],
            }
        );
        assert_eq!(header.encode(), bytes);
        assert_eq!(WRITTEN[HEADER_LEN..2 * HEADER_LEN], bytes);
        assert_eq!(le32(WRITTEN, BACKFILL_OFFSET), 0);
        assert_eq!(le32(WRITTEN, MARKS_OFFSET), 0);
        assert_eq!(le32(WRITTEN, MARKS_OFFSET + 16), MARK_NOT_USED);
        assert_eq!(le32(WRITTEN, ATTEMPTED_OFFSET), 0);
    }

    #[test]
    fn header_of_an_empty_wal_has_the_bytes_that_litefs_0_5_writes() {
        let header = Header { change: 1, page_size: Some(PageSize::MIN), page_count: 2, ..Header::default() };
        let expected = [
            [0x18, 0xe2, 0x2d, 0x00, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 2],
            [0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0x4b, 0x07, 0x18, 0x16, 0x54, 0x93, 0xdb, 0x23],
        ];
        assert_eq!(header.encode()[..], expected.concat());
    }

    #[test]
    fn header_that_is_not_whole_is_none() {
        let good = Header { page_size: Some(PageSize::MIN), ..Header::default() }.encode();
        assert!(Header::decode(&good).is_some());
        let with = |at: usize, byte: u8, fix: bool| {
            let mut bytes = good;
            bytes[at] = byte;
            if fix {
                let checksum = checksum_of(&bytes);
                bytes[40..44].copy_from_slice(&checksum.s0.to_le_bytes());
                bytes[44..48].copy_from_slice(&checksum.s1.to_le_bytes());
            }
            Header::decode(&bytes)
        };
        assert_eq!(Header::decode(&[0; HEADER_LEN]), None);
        assert_eq!(with(8, 1, false), None);
        assert!(with(8, 1, true).is_some());
        assert_eq!(with(0, 1, true), None, "another version");
        assert_eq!(with(12, 0, true), None, "not initialized");
        assert_eq!(with(15, 3, true), None, "pages of 768 bytes");
        assert_eq!(with(15, 0, true).map(|header| header.page_size), Some(None));
    }

    #[test]
    fn blocks_have_the_frames_that_sqlite_puts_there() {
        assert_eq!([0, 1, 2].map(frames_in), [4062, 4096, 4096]);
        assert_eq!([1, 4062, 4063, 8158, 8159].map(block_of), [0, 0, 1, 1, 2]);
        assert_eq!([0, 1, 2].map(first_frame), [1, 4063, 8159]);
        assert_eq!(page_offset(1), 136);
        assert_eq!(page_offset(4062), slots_offset(0) - 4);
        assert_eq!(page_offset(4063), BLOCK_BYTES);
        assert_eq!(page_offset(8158), slots_offset(1) - 4);
        assert_eq!(slots_offset(0) + SLOTS * 2, BLOCK_BYTES);
        assert_eq!(block_of(u32::MAX), 1_048_576);
    }

    #[test]
    fn frames_lie_without_gaps_between_the_start_and_the_slots_of_their_block() {
        let mut expected = 136;
        for frame in 1..=3 * BLOCK_FRAMES as u32 {
            let block = block_of(frame);
            if frame == first_frame(block) && block > 0 {
                assert_eq!(expected, slots_offset(block - 1));
                expected = block * BLOCK_BYTES;
            }
            assert_eq!(page_offset(frame), expected, "frame {frame}");
            expected += 4;
        }
    }

    #[test]
    fn slots_spread_neighbouring_pages() {
        let slots = [1, 2, 22, u32::MAX].map(|page| slot_of(PageNumber::new(page).unwrap()));
        assert_eq!(slots, [383, 766, 383 * 22 - 8192, 8192 - 383]);
        let mut used = vec![false; SLOTS];
        for page in 1..=SLOTS as u32 {
            used[slot_of(PageNumber::new(page).unwrap())] = true;
        }
        assert!(used.iter().all(|used| *used));
    }

    proptest! {
        #[test]
        fn header_decodes_to_what_was_encoded(
            change: u32, big: bool, size in 9..17u32, max_frame: u32, page_count: u32, s0: u32, s1: u32, salt: [u32; 2],
        ) {
            let header = Header {
                change,
                byte_order: if big { ByteOrder::Big } else { ByteOrder::Little },
                page_size: PageSize::new(1 << size).ok(),
                max_frame,
                page_count,
                frame_checksum: WalChecksum { s0, s1 },
                salt,
            };
            prop_assert_eq!(Header::decode(&header.encode()), Some(header));
        }
    }
}
