use crate::bytes::{array, be32, be64};
use crate::{Checksum, InvalidPageSize, NodeId, PageSize, Position, Txid};

const MAGIC: [u8; 4] = *b"LTX1";

/// Flag of a file whose page block is compressed.
const COMPRESSED: u32 = 1;

/// The first 100 bytes of an LTX file, which are never compressed.
///
/// Big-endian:
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | magic `LTX1` |
/// | 4 | 4 | flags: bit 0 = the page block is compressed |
/// | 8 | 4 | page size in bytes |
/// | 12 | 4 | size of the database after the transaction, in pages |
/// | 16 | 16 | minimum and maximum TXID |
/// | 32 | 8 | timestamp |
/// | 40 | 8 | pre-apply checksum |
/// | 48 | 16 | WAL offset and size |
/// | 64 | 8 | WAL salts |
/// | 72 | 8 | node |
/// | 80 | 20 | reserved: written as zeros, not looked at |
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// Whether the page block is an LZ4 frame.
    pub compressed: bool,
    /// Bytes in a page.
    pub page_size: PageSize,
    /// Size of the database after the transaction, in pages. Zero says that the database was deleted.
    pub commit: u32,
    /// The first transaction in the file.
    pub min_txid: Txid,
    /// The last transaction in the file.
    pub max_txid: Txid,
    /// When the last transaction was committed, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The checksum of the database before the first transaction, [`Checksum::ZERO`] in a snapshot.
    pub pre_apply: Checksum,
    /// Where the transaction begins in the WAL of the node that committed it, in bytes. Zero if it was not in a WAL.
    pub wal_offset: u64,
    /// Bytes of that WAL that the transaction takes.
    pub wal_size: u64,
    /// The salts of that WAL.
    pub wal_salt: [u32; 2],
    /// The node that wrote the file, [`NodeId::ZERO`] after a compaction.
    pub node_id: NodeId,
}

impl Header {
    /// Bytes of an encoded header.
    pub const LEN: usize = 100;

    /// The bytes of the header.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[0..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&if self.compressed { COMPRESSED } else { 0 }.to_be_bytes());
        out[8..12].copy_from_slice(&self.page_size.get().to_be_bytes());
        out[12..16].copy_from_slice(&self.commit.to_be_bytes());
        out[16..24].copy_from_slice(&self.min_txid.get().to_be_bytes());
        out[24..32].copy_from_slice(&self.max_txid.get().to_be_bytes());
        out[32..40].copy_from_slice(&self.timestamp_ms.to_be_bytes());
        out[40..48].copy_from_slice(&self.pre_apply.get().to_be_bytes());
        out[48..56].copy_from_slice(&self.wal_offset.to_be_bytes());
        out[56..64].copy_from_slice(&self.wal_size.to_be_bytes());
        out[64..68].copy_from_slice(&self.wal_salt[0].to_be_bytes());
        out[68..72].copy_from_slice(&self.wal_salt[1].to_be_bytes());
        out[72..80].copy_from_slice(&self.node_id.get().to_be_bytes());
        out
    }

    /// The header at the start of `bytes`, checked by [`Header::validate`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() < Self::LEN {
            return Err(HeaderError::Short { found: bytes.len() });
        }
        let magic = array(bytes, 0);
        if magic != MAGIC {
            return Err(HeaderError::Magic { found: magic });
        }
        let flags = be32(bytes, 4);
        if flags & !COMPRESSED != 0 {
            return Err(HeaderError::Flags { found: flags });
        }
        let header = Self {
            compressed: flags & COMPRESSED != 0,
            page_size: PageSize::new(be32(bytes, 8))?,
            commit: be32(bytes, 12),
            min_txid: Txid::new(be64(bytes, 16)),
            max_txid: Txid::new(be64(bytes, 24)),
            timestamp_ms: be64(bytes, 32).cast_signed(),
            pre_apply: Checksum::new(be64(bytes, 40)),
            wal_offset: be64(bytes, 48),
            wal_size: be64(bytes, 56),
            wal_salt: [be32(bytes, 64), be32(bytes, 68)],
            node_id: NodeId::new(be64(bytes, 72)),
        };
        header.validate()?;
        Ok(header)
    }

    /// Checks that the fields agree with each other.
    pub fn validate(&self) -> Result<(), HeaderError> {
        if self.min_txid == Txid::ZERO || self.max_txid == Txid::ZERO {
            return Err(HeaderError::NoTxid { min: self.min_txid, max: self.max_txid });
        }
        if self.min_txid > self.max_txid {
            return Err(HeaderError::TxidOrder { min: self.min_txid, max: self.max_txid });
        }
        self.validate_wal()?;
        match (self.is_snapshot(), self.pre_apply) {
            (true, Checksum::ZERO) => Ok(()),
            (true, found) => Err(HeaderError::SnapshotPreApply { found }),
            (false, found) if found.is_flagged() => Ok(()),
            (false, found) => Err(HeaderError::PreApply { found }),
        }
    }

    fn validate_wal(&self) -> Result<(), HeaderError> {
        // Other readers take the two lengths as signed numbers.
        if self.wal_offset.cast_signed() < 0 || self.wal_size.cast_signed() < 0 {
            return Err(HeaderError::WalNegative { offset: self.wal_offset, size: self.wal_size });
        }
        let has_range = self.wal_offset != 0 && self.wal_size != 0;
        let is_bare = self.wal_offset == 0 && self.wal_size == 0 && self.wal_salt == [0, 0];
        if has_range || is_bare {
            Ok(())
        } else {
            Err(HeaderError::WalIncomplete {
                offset: self.wal_offset,
                size: self.wal_size,
                salt: self.wal_salt,
            })
        }
    }

    /// Whether the file holds every page of the database and builds on nothing, which is so if it starts with
    /// transaction 1.
    pub fn is_snapshot(&self) -> bool {
        self.min_txid == Txid::new(1)
    }

    /// The position a database must be at so that the file can be applied to it. A snapshot follows nothing.
    pub fn pre_apply_position(&self) -> Position {
        Position { txid: self.min_txid.prev(), checksum: self.pre_apply }
    }
}

/// Why bytes are not the header of an LTX file, or why a header cannot be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HeaderError {
    /// The bytes end too early.
    #[error("{found} bytes, an LTX header has {expected}", expected = Header::LEN)]
    Short {
        /// Bytes there are.
        found: usize,
    },
    /// The file is something else.
    #[error("not an LTX file: it begins with {found:02x?}, expected \"LTX1\"")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The file uses features of a later version of the format.
    #[error("flags {found:#010x} are not known: the file was written by a program with a later LTX format")]
    Flags {
        /// The flags.
        found: u32,
    },
    /// The page size is not one of SQLite's.
    #[error(transparent)]
    PageSize(#[from] InvalidPageSize),
    /// A transaction id is zero.
    #[error("transactions {min} to {max}: neither may be zero")]
    NoTxid {
        /// The minimum TXID.
        min: Txid,
        /// The maximum TXID.
        max: Txid,
    },
    /// The range of transactions ends before it begins.
    #[error("transactions {min} to {max} are out of order")]
    TxidOrder {
        /// The minimum TXID.
        min: Txid,
        /// The maximum TXID.
        max: Txid,
    },
    /// A place in the WAL does not fit into a signed number.
    #[error("WAL offset {offset:#x} and size {size:#x} must fit into 63 bits")]
    WalNegative {
        /// The offset in bytes.
        offset: u64,
        /// The size in bytes.
        size: u64,
    },
    /// The place in the WAL is given in part.
    #[error(
        "WAL offset {offset}, size {size} and salts {:08x} {:08x} must be given together: offset and size, or nothing",
        salt[0], salt[1]
    )]
    WalIncomplete {
        /// The offset in bytes.
        offset: u64,
        /// The size in bytes.
        size: u64,
        /// The salts.
        salt: [u32; 2],
    },
    /// A snapshot has a checksum of what was before it.
    #[error("pre-apply checksum {found} in a snapshot, expected zero")]
    SnapshotPreApply {
        /// The checksum.
        found: Checksum,
    },
    /// The checksum of what was before is missing or malformed.
    #[error("pre-apply checksum {found} is not one: the highest bit must be set")]
    PreApply {
        /// The checksum.
        found: Checksum,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            compressed: false,
            page_size: PageSize::MIN,
            commit: 2,
            min_txid: Txid::new(3),
            max_txid: Txid::new(4),
            timestamp_ms: -5,
            pre_apply: Checksum::EMPTY,
            wal_offset: 32,
            wal_size: 536,
            wal_salt: [6, 7],
            node_id: NodeId::new(8),
        }
    }

    #[test]
    fn header_decodes_to_what_was_encoded() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
        let compressed = Header { compressed: true, ..header() };
        assert_eq!(Header::decode(&compressed.encode()), Ok(compressed));
    }

    #[test]
    fn reserved_bytes_are_written_as_zero_and_not_looked_at() {
        let mut bytes = header().encode();
        assert_eq!(bytes[80..], [0; 20]);
        bytes[80..].fill(0xff);
        assert_eq!(Header::decode(&bytes), Ok(header()));
    }

    #[test]
    fn bytes_of_another_format_are_refused() {
        let mut bytes = header().encode();
        assert_eq!(Header::decode(&bytes[..99]), Err(HeaderError::Short { found: 99 }));
        bytes[7] = 2;
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Flags { found: 2 }));
        bytes[0] = b'l';
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Magic { found: *b"lTX1" }));
        let mut bytes = header().encode();
        bytes[11] = 1;
        assert_eq!(Header::decode(&bytes), Err(HeaderError::PageSize(InvalidPageSize { found: 513 })));
    }

    #[test]
    fn each_rule_between_fields_is_checked() {
        let zero = Txid::ZERO;
        let one = Txid::new(1);
        let no_wal = Header { wal_offset: 0, wal_size: 0, wal_salt: [0, 0], ..header() };
        let negative = 1 << 63;
        assert_eq!(no_wal.validate(), Ok(()));
        assert_eq!(Header { wal_salt: [0, 0], ..header() }.validate(), Ok(()));
        assert_eq!(Header { min_txid: one, pre_apply: Checksum::ZERO, ..header() }.validate(), Ok(()));
        for wrong in [
            Header { min_txid: zero, ..header() },
            Header { min_txid: zero, max_txid: zero, ..header() },
            Header { min_txid: Txid::new(5), ..header() },
            Header { wal_offset: negative, ..header() },
            Header { wal_size: negative, ..header() },
            Header { wal_offset: 0, ..header() },
            Header { wal_size: 0, ..header() },
            Header { wal_offset: 0, wal_size: 0, ..header() },
            Header { wal_salt: [0, 1], ..no_wal },
            Header { wal_offset: 0, wal_salt: [0, 0], ..header() },
            Header { wal_size: 0, wal_salt: [0, 0], ..header() },
            Header { min_txid: one, ..header() },
            Header { pre_apply: Checksum::ZERO, ..header() },
            Header { pre_apply: Checksum::new(1), ..header() },
        ] {
            let error = wrong.validate().unwrap_err();
            assert_eq!(Header::decode(&wrong.encode()), Err(error), "{wrong:?}");
        }
    }
}
