use core::fmt;
use core::str::FromStr;

use crc_fast::{CrcAlgorithm, Digest};

use crate::PageNumber;
use crate::hex::{self, InvalidHex};

/// The bit every checksum has, so that none is zero.
const FLAG: u64 = 1 << 63;

/// Fingerprint of a page, of a whole database or of a file: 63 bits of CRC-64/GO-ISO below a bit that is always set.
///
/// The checksum of a database is the XOR of those of its pages, without the lock page, so a change of one page changes
/// it in constant time. Zero stands for "none". Written as exactly 16 hexadecimal digits, lower case.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Checksum(u64);

impl Checksum {
    /// No checksum: the position before the first transaction, the pre-apply checksum of a snapshot.
    pub const ZERO: Self = Self(0);

    /// The checksum of a database without pages.
    pub const EMPTY: Self = Self(FLAG);

    /// The checksum with these bits, taken as they are.
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// All 64 bits.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether the bit that every real checksum has is set.
    pub const fn is_flagged(self) -> bool {
        self.0 & FLAG != 0
    }

    /// The checksum of a page: over its number as four big-endian bytes, then its content.
    pub fn of_page(number: PageNumber, content: &[u8]) -> Self {
        let mut hasher = ChecksumHasher::new();
        hasher.update(&number.get().to_be_bytes());
        hasher.update(content);
        hasher.finish()
    }

    /// The database's checksum after a page with checksum `page` came or went; twice the same page cancels out.
    #[must_use]
    pub const fn toggle(self, page: Self) -> Self {
        Self(FLAG | (self.0 ^ page.0))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A text that is not a checksum.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid checksum: {0}")]
pub struct InvalidChecksum(pub InvalidHex);

impl FromStr for Checksum {
    type Err = InvalidChecksum;

    /// Accepts either case, and any 64 bits.
    fn from_str(text: &str) -> Result<Self, InvalidChecksum> {
        hex::parse_16(text).map(Self).map_err(InvalidChecksum)
    }
}

/// A [`Checksum`] in the making, over bytes that arrive in pieces.
#[derive(Clone, Debug)]
pub struct ChecksumHasher(Digest);

impl ChecksumHasher {
    /// Over no bytes yet.
    pub fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64GoIso))
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of the bytes so far; more may follow.
    pub fn finish(&self) -> Checksum {
        Checksum(FLAG | self.0.finalize())
    }
}

impl Default for ChecksumHasher {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn of_bytes(bytes: &[u8]) -> Checksum {
        let mut hasher = ChecksumHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The CRC by its definition, one bit at a time: reflected polynomial 0x1b, all ones in and out.
    fn crc_by_definition(bytes: &[u8]) -> u64 {
        !bytes.iter().fold(u64::MAX, |crc, byte| {
            (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xd800_0000_0000_0000 } else { crc >> 1 }
            })
        })
    }

    #[test]
    fn crc_has_the_published_check_value() {
        assert_eq!(crc_by_definition(b"123456789"), 0xb909_56c7_75a4_1001);
        assert_eq!(of_bytes(b"123456789").get(), 0xb909_56c7_75a4_1001);
        assert_eq!(of_bytes(b""), Checksum::EMPTY);
    }

    #[test]
    fn page_checksum_covers_number_and_content() {
        let one = PageNumber::new(1).unwrap();
        let page = [7u8; 512];
        let mut bytes = Vec::from(1u32.to_be_bytes());
        bytes.extend_from_slice(&page);
        assert_eq!(Checksum::of_page(one, &page).get(), crc_by_definition(&bytes) | FLAG);
        assert_ne!(Checksum::of_page(one, &page), Checksum::of_page(PageNumber::new(2).unwrap(), &page));
    }

    #[test]
    fn toggling_a_page_twice_restores_the_checksum() {
        let page = Checksum::of_page(PageNumber::new(3).unwrap(), &[1; 512]);
        let with = Checksum::EMPTY.toggle(page);
        assert_eq!(with, page);
        assert_eq!(with.toggle(page), Checksum::EMPTY);
    }

    #[test]
    fn checksum_text_is_16_digits() {
        assert_eq!(Checksum::EMPTY.to_string(), "8000000000000000");
        assert_eq!("8000000000000000".parse(), Ok(Checksum::EMPTY));
        assert_eq!(
            "800000000000000".parse::<Checksum>().unwrap_err().to_string(),
            "invalid checksum: 15 characters, expected 16"
        );
    }

    proptest! {
        #[test]
        fn pieces_hash_like_the_whole(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..8)) {
            let mut hasher = ChecksumHasher::new();
            for piece in &pieces {
                hasher.update(piece);
            }
            prop_assert_eq!(hasher.finish().get(), crc_by_definition(&pieces.concat()) | FLAG);
        }
    }
}
