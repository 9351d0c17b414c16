use alloc::vec::Vec;

use crate::{Checksum, ChecksumHasher, PageSize, PageSums, Position, Txid};

/// The page checksums of a database as they were saved, so that opening it does not mean reading it.
///
/// Big-endian: magic `LFSSUM01`, page size (4 bytes), page count (4), the base position (16), the position the
/// checksums belong to (16), the checksums (8 each), and the flagged CRC-64/GO-ISO of everything before it (8).
#[derive(Clone, Debug, PartialEq)]
pub struct SavedSums {
    /// Bytes in a page.
    pub page_size: PageSize,
    /// The database file holds all transactions up to here. What the log has after it is applied again at recovery.
    pub base: Position,
    /// The position the checksums belong to, at or after the base.
    pub position: Position,
    /// One per page.
    pub sums: PageSums,
}

const MAGIC: [u8; 8] = *b"LFSSUM01";
const HEADER_LEN: usize = 48;
const TRAILER_LEN: usize = 8;

impl SavedSums {
    /// What could have been saved before the first transaction.
    pub fn nothing() -> Self {
        let position = Position::ZERO;
        Self { page_size: PageSize::MIN, base: position, position, sums: PageSums::default() }
    }

    /// What could be saved of a database that was dropped by the transaction at `position`.
    pub fn dropped(position: Position) -> Self {
        Self { base: position, position, ..Self::nothing() }
    }

    /// The content of the file.
    pub fn encode(&self) -> Vec<u8> {
        let page_count = self.sums.page_count();
        let mut out = Vec::with_capacity(HEADER_LEN + page_count as usize * 8 + TRAILER_LEN);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.page_size.get().to_be_bytes());
        out.extend_from_slice(&page_count.to_be_bytes());
        for position in [self.base, self.position] {
            out.extend_from_slice(&position.txid.get().to_be_bytes());
            out.extend_from_slice(&position.checksum.get().to_be_bytes());
        }
        for sum in self.sums.iter() {
            out.extend_from_slice(&sum.get().to_be_bytes());
        }
        out.extend_from_slice(&checksum(&out).get().to_be_bytes());
        out
    }

    /// The checksums in `bytes`, or `None` if they are damaged, incomplete or contradict themselves: then the
    /// database has to be read instead.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let body = bytes.len().checked_sub(TRAILER_LEN).filter(|body| *body >= HEADER_LEN)?;
        if bytes[..8] != MAGIC || u64_at(bytes, body) != checksum(&bytes[..body]).get() {
            return None;
        }
        let sizes = u64_at(bytes, 8);
        let page_count = sizes as u32;
        if body - HEADER_LEN != page_count as usize * 8 {
            return None;
        }
        let position = |at| Position {
            txid: Txid::new(u64_at(bytes, at)),
            checksum: Checksum::new(u64_at(bytes, at + 8)),
        };
        let pages = (0..page_count as usize).map(|page| Checksum::new(u64_at(bytes, HEADER_LEN + page * 8)));
        let saved = Self {
            page_size: PageSize::new((sizes >> 32) as u32).ok()?,
            base: position(16),
            position: position(32),
            sums: PageSums::from_pages(pages.collect()),
        };
        let consistent = saved.position == Position::ZERO || saved.sums.total() == saved.position.checksum;
        consistent.then_some(saved)
    }
}

fn checksum(bytes: &[u8]) -> Checksum {
    let mut hasher = ChecksumHasher::new();
    hasher.update(bytes);
    hasher.finish()
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PageNumber;

    fn saved(page_count: u32) -> SavedSums {
        let mut sums = PageSums::default();
        for number in 1..=page_count {
            let page = PageNumber::new(number).unwrap();
            sums.set(page, Checksum::of_page(page, &[3; 512]));
        }
        let position = Position { txid: Txid::new(9), checksum: sums.total() };
        let base = Position { txid: Txid::new(4), checksum: Checksum::new(1 << 63 | 5) };
        SavedSums { page_size: PageSize::MIN, base, position, sums }
    }

    #[test]
    fn saved_sums_round_trip() {
        for page_count in [0, 1, 300] {
            let saved = saved(page_count);
            assert_eq!(SavedSums::decode(&saved.encode()), Some(saved));
        }
    }

    #[test]
    fn checksums_that_do_not_add_up_or_belong_to_no_database_are_not_believed() {
        let with = |at: usize, byte: u8| {
            let mut bytes = saved(3).encode();
            bytes[at] = byte;
            let body = bytes.len() - TRAILER_LEN;
            let sum = checksum(&bytes[..body]).get().to_be_bytes();
            bytes[body..].copy_from_slice(&sum);
            SavedSums::decode(&bytes)
        };
        assert_eq!(with(0, b'L'), Some(saved(3)));
        assert_eq!([with(10, 3), with(15, 4), with(47, 0x55), with(0, b'l')], [None, None, None, None]);
    }

    #[test]
    fn database_that_was_dropped_has_no_pages_at_its_position() {
        let position = Position { txid: Txid::new(7), checksum: Checksum::EMPTY };
        let dropped = SavedSums::dropped(position);
        assert_eq!(SavedSums::decode(&dropped.encode()), Some(dropped.clone()));
        assert_eq!((dropped.base, dropped.position, dropped.sums.page_count()), (position, position, 0));
    }

    #[test]
    fn damaged_or_truncated_sums_are_not_believed() {
        let bytes = saved(3).encode();
        for len in 0..bytes.len() {
            assert_eq!(SavedSums::decode(&bytes[..len]), None, "first {len} bytes");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(SavedSums::decode(&damaged), None, "byte {at}");
        }
    }
}
