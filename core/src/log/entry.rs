use crate::{Checksum, Position, Txid};

/// What an entry of the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A transaction that this node captured, as an LTX file.
    Captured,
    /// A transaction that came from a peer or an import, as an LTX file.
    Received,
    /// No payload: says how much of the WAL is in the log, where the last captured entry cannot.
    WalMark,
}

/// How much of which WAL the log covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalCoverage {
    /// The salts of the WAL's generation, zero if the entry has nothing to do with a WAL.
    pub salt: [u32; 2],
    /// Bytes of the WAL, from its start, whose transactions are in the log.
    pub end: u64,
}

/// The header in front of each LTX file in a segment: enough to find, chain and skip it without decoding it.
///
/// 80 bytes, big-endian:
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | magic `LFSE` |
/// | 4 | 1 | kind: 1 captured, 2 received, 3 WAL mark |
/// | 5 | 3 | zero |
/// | 8 | 8 | bytes of the payload that follows |
/// | 16 | 8 | minimum TXID, zero in a WAL mark |
/// | 24 | 8 | maximum TXID |
/// | 32 | 8 | pre-apply checksum |
/// | 40 | 8 | post-apply checksum |
/// | 48 | 8 | timestamp, milliseconds since the Unix epoch |
/// | 56 | 8 | WAL salts |
/// | 64 | 8 | end of the covered part of the WAL, in bytes |
/// | 72 | 8 | CRC-64/GO-ISO, flagged, over the segment's number, the entry's offset and bytes 0 to 71 |
///
/// The checksum covers the place, so that an entry left over from a failed append is never taken for a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHeader {
    /// What follows.
    pub kind: EntryKind,
    /// Bytes of the LTX file that follows.
    pub payload_len: u64,
    /// The first transaction.
    pub min_txid: Txid,
    /// The checksum before it; zero for a snapshot.
    pub pre_apply: Checksum,
    /// The last transaction and the checksum after it.
    pub post: Position,
    /// When the transaction was committed.
    pub timestamp_ms: i64,
    /// How far the WAL is covered after this entry.
    pub wal: WalCoverage,
}

const MAGIC: [u8; 4] = *b"LFSE";

impl EntryHeader {
    /// Bytes of an encoded header.
    pub const LEN: usize = 80;

    /// The header as it stands at `offset` bytes in segment number `segment`.
    pub fn encode(&self, segment: u64, offset: u64) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[0..4].copy_from_slice(&MAGIC);
        out[4] = match self.kind {
            EntryKind::Captured => 1,
            EntryKind::Received => 2,
            EntryKind::WalMark => 3,
        };
        out[8..16].copy_from_slice(&self.payload_len.to_be_bytes());
        out[16..24].copy_from_slice(&self.min_txid.get().to_be_bytes());
        out[24..32].copy_from_slice(&self.post.txid.get().to_be_bytes());
        out[32..40].copy_from_slice(&self.pre_apply.get().to_be_bytes());
        out[40..48].copy_from_slice(&self.post.checksum.get().to_be_bytes());
        out[48..56].copy_from_slice(&self.timestamp_ms.to_be_bytes());
        out[56..60].copy_from_slice(&self.wal.salt[0].to_be_bytes());
        out[60..64].copy_from_slice(&self.wal.salt[1].to_be_bytes());
        out[64..72].copy_from_slice(&self.wal.end.to_be_bytes());
        let sum = placed_checksum(&out[..72], segment, offset);
        out[72..80].copy_from_slice(&sum.get().to_be_bytes());
        out
    }

    /// The header in `bytes`, or `None` if no entry was completely written at this place.
    pub fn decode(bytes: &[u8; Self::LEN], segment: u64, offset: u64) -> Option<Self> {
        if bytes[0..4] != MAGIC || u64_at(bytes, 72) != placed_checksum(&bytes[..72], segment, offset).get() {
            return None;
        }
        let kind = match bytes[4] {
            1 => EntryKind::Captured,
            2 => EntryKind::Received,
            3 => EntryKind::WalMark,
            _ => return None,
        };
        let (min, max) = (u64_at(bytes, 16), u64_at(bytes, 24));
        if kind != EntryKind::WalMark && (min == 0 || min > max) {
            return None;
        }
        let salts = u64_at(bytes, 56);
        Some(Self {
            kind,
            payload_len: u64_at(bytes, 8),
            min_txid: Txid::new(min),
            pre_apply: Checksum::new(u64_at(bytes, 32)),
            post: Position { txid: Txid::new(max), checksum: Checksum::new(u64_at(bytes, 40)) },
            timestamp_ms: u64_at(bytes, 48).cast_signed(),
            wal: WalCoverage { salt: [(salts >> 32) as u32, salts as u32], end: u64_at(bytes, 64) },
        })
    }

    /// Whether the entry holds a transaction.
    pub fn is_transaction(&self) -> bool {
        self.kind != EntryKind::WalMark
    }

    /// Whether the entry holds a whole database and does not build on what is before it.
    pub fn is_snapshot(&self) -> bool {
        self.is_transaction() && self.min_txid == Txid::new(1)
    }
}

fn placed_checksum(bytes: &[u8], segment: u64, offset: u64) -> Checksum {
    let mut hasher = crate::ChecksumHasher::new();
    hasher.update(&segment.to_be_bytes());
    hasher.update(&offset.to_be_bytes());
    hasher.update(bytes);
    hasher.finish()
}

fn u64_at(bytes: &[u8; EntryHeader::LEN], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> EntryHeader {
        EntryHeader {
            kind: EntryKind::Captured,
            payload_len: 1234,
            min_txid: Txid::new(7),
            pre_apply: Checksum::new(0x8000_0000_0000_0001),
            post: Position { txid: Txid::new(7), checksum: Checksum::new(0x8000_0000_0000_0002) },
            timestamp_ms: 1_700_000_000_000,
            wal: WalCoverage { salt: [1, 0xffff_fffe], end: 4152 },
        }
    }

    #[test]
    fn header_round_trips_at_its_place_only() {
        let bytes = entry().encode(3, 32);
        assert_eq!(EntryHeader::decode(&bytes, 3, 32), Some(entry()));
        assert_eq!(EntryHeader::decode(&bytes, 3, 33), None);
        assert_eq!(EntryHeader::decode(&bytes, 4, 32), None);
    }

    #[test]
    fn transactions_that_end_before_they_begin_are_none() {
        for (min, max) in [(0, 7), (8, 7)] {
            let post = Position { txid: Txid::new(max), ..entry().post };
            let header = EntryHeader { min_txid: Txid::new(min), post, ..entry() };
            assert_eq!(EntryHeader::decode(&header.encode(3, 32), 3, 32), None);
            let mark = EntryHeader { kind: EntryKind::WalMark, ..header };
            assert_eq!(EntryHeader::decode(&mark.encode(3, 32), 3, 32), Some(mark));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = entry().encode(3, 32);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(EntryHeader::decode(&damaged, 3, 32), None, "bit {bit}");
        }
    }
}
