//! The write-ahead log (SQLite file format 4).
//!
//! A WAL is a header of 32 bytes and then frames, each a header of 24 bytes and a page. A frame is valid if it has the
//! salts of the WAL's header and if its checksum continues that of the frame before it. A transaction ends with a
//! valid frame that says how many pages the database has. Numbers are big-endian; which byte order the checksum reads
//! the content in is the writer's choice.

use crate::bytes::{array, be32};
use crate::{InvalidPageSize, PageNumber, PageSize};

/// Bytes of the WAL's header.
pub const HEADER_LEN: usize = 32;
/// Bytes of a frame's header.
pub const FRAME_HEADER_LEN: usize = 24;

/// The magic number of a WAL whose checksums read little-endian words. Its lowest bit is set for big-endian ones.
const MAGIC: u32 = 0x377f_0682;
/// The only version of the format there has been.
const VERSION: u32 = 3_007_000;

/// Where the frame with this index begins in the file, in bytes. The first frame has index 0.
pub const fn frame_offset(index: u32, page_size: PageSize) -> u64 {
    HEADER_LEN as u64 + index as u64 * (FRAME_HEADER_LEN as u64 + page_size.get() as u64)
}

/// The byte order in which the checksum of a WAL reads words.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ByteOrder {
    /// The writer's processor was little-endian.
    #[default]
    Little,
    /// The writer's processor was big-endian.
    Big,
}

/// The running checksum of a WAL (SQLite file format 4.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WalChecksum {
    /// The first sum.
    pub s0: u32,
    /// The second sum.
    pub s1: u32,
}

impl WalChecksum {
    /// Adds bytes, whose number is a multiple of 8. What is over is not added.
    pub fn update(&mut self, bytes: &[u8], order: ByteOrder) {
        debug_assert!(bytes.len().is_multiple_of(8), "{} bytes are not whole pairs of words", bytes.len());
        match order {
            ByteOrder::Little => self.add_pairs(bytes, u32::from_le_bytes),
            ByteOrder::Big => self.add_pairs(bytes, u32::from_be_bytes),
        }
    }

    fn add_pairs(&mut self, bytes: &[u8], word: impl Fn([u8; 4]) -> u32) {
        let (mut s0, mut s1) = (self.s0, self.s1);
        let (pairs, _) = bytes.as_chunks::<8>();
        for [a, b, c, d, e, f, g, h] in pairs {
            s0 = s0.wrapping_add(word([*a, *b, *c, *d])).wrapping_add(s1);
            s1 = s1.wrapping_add(word([*e, *f, *g, *h])).wrapping_add(s0);
        }
        *self = Self { s0, s1 };
    }

    /// The two sums as they stand in the WAL.
    pub(super) fn encode(self) -> [u8; 8] {
        (u64::from(self.s0) << 32 | u64::from(self.s1)).to_be_bytes()
    }

    fn decode(bytes: &[u8], at: usize) -> Self {
        Self { s0: be32(bytes, at), s1: be32(bytes, at + 4) }
    }
}

/// The header of a WAL (SQLite file format 4.1). SQLite writes a new one, with new salts, each time it begins the WAL
/// from its start again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WalHeader {
    /// The byte order of the checksums.
    pub byte_order: ByteOrder,
    /// Bytes in a page.
    pub page_size: PageSize,
    /// How often the WAL was begun again.
    pub checkpoint_sequence: u32,
    /// What tells the frames of this WAL from leftovers of earlier ones.
    pub salt: [u32; 2],
    /// The checksum of the fields above, which that of the first frame continues.
    pub checksum: WalChecksum,
}

impl WalHeader {
    /// The header with these fields and the checksum that belongs to them.
    pub fn new(byte_order: ByteOrder, page_size: PageSize, checkpoint_sequence: u32, salt: [u32; 2]) -> Self {
        let mut header =
            Self { byte_order, page_size, checkpoint_sequence, salt, checksum: WalChecksum::default() };
        let bytes = header.encode();
        header.checksum.update(&bytes[..24], byte_order);
        header
    }

    /// The bytes of the header.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let magic = match self.byte_order {
            ByteOrder::Little => MAGIC,
            ByteOrder::Big => MAGIC | 1,
        };
        out[0..4].copy_from_slice(&magic.to_be_bytes());
        out[4..8].copy_from_slice(&VERSION.to_be_bytes());
        out[8..12].copy_from_slice(&self.page_size.get().to_be_bytes());
        out[12..16].copy_from_slice(&self.checkpoint_sequence.to_be_bytes());
        out[16..20].copy_from_slice(&self.salt[0].to_be_bytes());
        out[20..24].copy_from_slice(&self.salt[1].to_be_bytes());
        out[24..32].copy_from_slice(&self.checksum.encode());
        out
    }

    /// The header at the start of `bytes`. SQLite takes a WAL whose header is wrong for empty, except that it refuses
    /// another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidWalHeader> {
        if bytes.len() < HEADER_LEN {
            return Err(InvalidWalHeader::Short { found: bytes.len() });
        }
        let byte_order = match be32(bytes, 0) {
            MAGIC => ByteOrder::Little,
            found if found == MAGIC | 1 => ByteOrder::Big,
            found => return Err(InvalidWalHeader::Magic { found }),
        };
        let salt = [be32(bytes, 16), be32(bytes, 20)];
        let header = Self::new(byte_order, PageSize::new(be32(bytes, 8))?, be32(bytes, 12), salt);
        let mut computed = WalChecksum::default();
        computed.update(&bytes[..24], byte_order);
        let found = WalChecksum::decode(bytes, 24);
        if found != computed {
            return Err(InvalidWalHeader::Checksum { found, computed });
        }
        match be32(bytes, 4) {
            VERSION => Ok(header),
            found => Err(InvalidWalHeader::Version { found }),
        }
    }
}

/// Why bytes are not the header of a WAL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidWalHeader {
    /// The bytes end too early.
    #[error("WAL header of {found} bytes, expected {HEADER_LEN}")]
    Short {
        /// Bytes there are.
        found: usize,
    },
    /// The file is something else.
    #[error("not a WAL: it begins with {found:#010x}, expected {MAGIC:#010x} or {:#010x}", MAGIC | 1)]
    Magic {
        /// The first four bytes.
        found: u32,
    },
    /// The page size is not one of SQLite's.
    #[error(transparent)]
    PageSize(#[from] InvalidPageSize),
    /// The header is damaged or was not completely written.
    #[error("WAL header with checksum {:08x} {:08x}, its content gives {:08x} {:08x}", found.s0, found.s1, computed.s0, computed.s1)]
    Checksum {
        /// The checksum in the header.
        found: WalChecksum,
        /// The checksum of the header.
        computed: WalChecksum,
    },
    /// The WAL was written by a later SQLite.
    #[error("WAL of version {found}, this program knows {VERSION}: the database was used by a later SQLite")]
    Version {
        /// The version in the header.
        found: u32,
    },
}

/// The header of a frame (SQLite file format 4.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameHeader {
    /// The page in the frame.
    pub page: PageNumber,
    /// Pages of the database after the transaction if this frame ends one, otherwise zero.
    pub commit: u32,
    /// The salts of the WAL's header.
    pub salt: [u32; 2],
    /// The running checksum after this frame.
    pub checksum: WalChecksum,
}

impl FrameHeader {
    /// The header of the frame that holds `content` and follows a frame with checksum `chain` in the WAL.
    pub fn new(wal: &WalHeader, chain: WalChecksum, page: PageNumber, commit: u32, content: &[u8]) -> Self {
        let mut header = Self { page, commit, salt: wal.salt, checksum: chain };
        header.checksum = header.checksum_after(wal, chain, content);
        header
    }

    /// The bytes of the header.
    pub fn encode(&self) -> [u8; FRAME_HEADER_LEN] {
        let mut out = [0; FRAME_HEADER_LEN];
        out[0..4].copy_from_slice(&self.page.get().to_be_bytes());
        out[4..8].copy_from_slice(&self.commit.to_be_bytes());
        out[8..12].copy_from_slice(&self.salt[0].to_be_bytes());
        out[12..16].copy_from_slice(&self.salt[1].to_be_bytes());
        out[16..24].copy_from_slice(&self.checksum.encode());
        out
    }

    /// The header at the start of `bytes`, or `None` if it is short or names no page. Whether the frame is valid the
    /// salts and [`FrameHeader::continues`] tell.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < FRAME_HEADER_LEN {
            return None;
        }
        Some(Self {
            page: PageNumber::new(be32(bytes, 0))?,
            commit: be32(bytes, 4),
            salt: [be32(bytes, 8), be32(bytes, 12)],
            checksum: WalChecksum::decode(bytes, 16),
        })
    }

    /// Whether the frame that holds `content` belongs to the WAL and follows a frame with checksum `chain`.
    pub fn continues(&self, wal: &WalHeader, chain: WalChecksum, content: &[u8]) -> bool {
        self.salt == wal.salt && self.checksum == self.checksum_after(wal, chain, content)
    }

    fn checksum_after(&self, wal: &WalHeader, mut chain: WalChecksum, content: &[u8]) -> WalChecksum {
        chain.update(&array::<8>(&self.encode(), 0), wal.byte_order);
        chain.update(content, wal.byte_order);
        chain
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The header of a WAL that SQLite wrote on a little-endian machine.
    const HEADER: [u8; 32] = [
        0x37, 0x7f, 0x06, 0x82, 0x00, 0x2d, 0xe2, 0x18, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x48,
        0x75, 0xa4, 0x0b, 0xa3, 0x8d, 0xe4, 0xf5, 0xe0, 0x8b, 0x78, 0x5b, 0x8e, 0x57, 0xdd, 0xa3,
    ];

    #[test]
    fn header_that_sqlite_wrote_decodes_and_encodes_to_the_same_bytes() {
        let header = WalHeader::decode(&HEADER).unwrap();
        assert_eq!(header.byte_order, ByteOrder::Little);
        assert_eq!(header.page_size.get(), 4096);
        assert_eq!(header.checkpoint_sequence, 0);
        assert_eq!(header.salt, [0x4875_a40b, 0xa38d_e4f5]);
        assert_eq!(header.checksum, WalChecksum { s0: 0xe08b_785b, s1: 0x8e57_dda3 });
        assert_eq!(header.encode(), HEADER);
    }

    #[test]
    fn big_endian_checksum_has_its_published_value() {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&[0x37, 0x7f, 0x06, 0x83, 0, 0, 0, 1]);
        let mut checksum = WalChecksum::default();
        checksum.update(&bytes, ByteOrder::Big);
        assert_eq!(checksum, WalChecksum { s0: 0x157b_2092, s1: 0xbbf8_341d });
    }

    #[test]
    fn each_fault_of_a_header_is_named() {
        let with = |at: usize, byte: u8| {
            let mut bytes = HEADER;
            bytes[at] = byte;
            let order = if bytes[3] & 1 == 1 { ByteOrder::Big } else { ByteOrder::Little };
            let mut checksum = WalChecksum::default();
            checksum.update(&bytes[..24], order);
            bytes[24..].copy_from_slice(&checksum.encode());
            WalHeader::decode(&bytes)
        };
        assert_eq!(WalHeader::decode(&HEADER[..31]), Err(InvalidWalHeader::Short { found: 31 }));
        assert_eq!(with(3, 0x84), Err(InvalidWalHeader::Magic { found: 0x377f_0684 }));
        assert_eq!(with(7, 0x19), Err(InvalidWalHeader::Version { found: 3_007_001 }));
        assert_eq!(with(11, 0x01), Err(InvalidWalHeader::PageSize(InvalidPageSize { found: 4097 })));
        assert_eq!(with(3, 0x83).unwrap().byte_order, ByteOrder::Big);
        let mut torn = HEADER;
        torn[20] ^= 1;
        assert!(matches!(WalHeader::decode(&torn), Err(InvalidWalHeader::Checksum { .. })));
    }

    #[test]
    fn frames_lie_behind_each_other() {
        let size = PageSize::new(4096).unwrap();
        assert_eq!([0, 1, 2].map(|index| frame_offset(index, size)), [32, 4152, 8272]);
        assert_eq!(frame_offset(u32::MAX, PageSize::MAX), 32 + u64::from(u32::MAX) * 65560);
    }

    #[test]
    fn frame_header_without_a_page_is_none() {
        assert_eq!(FrameHeader::decode(&[0; 24]), None);
        assert_eq!(FrameHeader::decode(&[1; 23]), None);
    }

    proptest! {
        #[test]
        fn frame_continues_only_its_own_wal_and_predecessor(
            big in any::<bool>(), sequence: u32, salt: [u32; 2], s0: u32, s1: u32, page in 1u32.., commit: u32,
            content in prop::collection::vec(any::<u8>(), 512), flip in 0usize..512 * 8,
        ) {
            let order = if big { ByteOrder::Big } else { ByteOrder::Little };
            let wal = WalHeader::new(order, PageSize::MIN, sequence, salt);
            prop_assert_eq!(WalHeader::decode(&wal.encode()), Ok(wal));
            let chain = WalChecksum { s0, s1 };
            let frame = FrameHeader::new(&wal, chain, PageNumber::new(page).unwrap(), commit, &content);
            prop_assert_eq!(FrameHeader::decode(&frame.encode()), Some(frame));
            prop_assert!(frame.continues(&wal, chain, &content));
            let elsewhere = WalChecksum { s0: s0.wrapping_add(1), s1 };
            prop_assert!(!frame.continues(&wal, elsewhere, &content));
            let other = WalHeader::new(order, PageSize::MIN, sequence, [salt[0].wrapping_add(1), salt[1]]);
            prop_assert!(!frame.continues(&other, chain, &content));
            let mut damaged = content;
            damaged[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(!frame.continues(&wal, chain, &damaged));
        }

        #[test]
        fn checksum_of_pieces_is_that_of_the_whole(pairs in prop::collection::vec(any::<[u8; 8]>(), 0..40), cut in 0usize..40) {
            let bytes = pairs.concat();
            let cut = cut.min(pairs.len()) * 8;
            for order in [ByteOrder::Little, ByteOrder::Big] {
                let (mut whole, mut pieces) = (WalChecksum::default(), WalChecksum::default());
                whole.update(&bytes, order);
                pieces.update(&bytes[..cut], order);
                pieces.update(&bytes[cut..], order);
                prop_assert_eq!(whole, pieces);
            }
        }
    }
}
