use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::bytes::{be32, be64};
use crate::{Checksum, DatabaseName, InvalidDatabaseName, Position, Txid};

/// Bytes of an entry beside its name: the length of the name, the transaction and the checksum.
const FIXED: usize = 4 + 8 + 8;

/// The positions as a replica announces them: their number (4 bytes), then for each database, in the order of names, the
/// length of the name (4 bytes), the name, the transaction and the checksum (8 bytes each); all numbers big-endian.
pub fn encode_position_map(positions: &BTreeMap<DatabaseName, Position>) -> Vec<u8> {
    let mut out = Vec::new();
    // There are fewer than 2^32 databases, and names are short.
    out.extend_from_slice(&(positions.len() as u32).to_be_bytes());
    for (database, position) in positions {
        let name = database.as_str().as_bytes();
        out.extend_from_slice(&(name.len() as u32).to_be_bytes());
        out.extend_from_slice(name);
        out.extend_from_slice(&position.txid.get().to_be_bytes());
        out.extend_from_slice(&position.checksum.get().to_be_bytes());
    }
    out
}

/// Reads a position map whose bytes arrive in pieces. Databases may come in any order; of two entries of one database the
/// later one counts.
#[derive(Clone, Debug, Default)]
pub struct PositionMapReader {
    /// Entries still to come. `None` before their number is known.
    rest: Option<u32>,
    /// The beginning of an entry whose end did not arrive yet.
    pending: Vec<u8>,
    positions: BTreeMap<DatabaseName, Position>,
}

/// Bytes that are not a position map.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PositionMapError {
    /// The length of a name is not that of a name.
    #[error("a name of {found} bytes in the position map, at most {max} fit", max = DatabaseName::MAX_LEN)]
    Length {
        /// The length.
        found: u32,
    },
    /// A name is not UTF-8.
    #[error("a name in the position map is not UTF-8")]
    Encoding,
    /// A name is not that of a database.
    #[error(transparent)]
    Name(#[from] InvalidDatabaseName),
}

impl PositionMapReader {
    /// Before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the bytes that follow those taken before. Returns whether the map is complete; what follows it is ignored.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool, PositionMapError> {
        if self.rest == Some(0) {
            return Ok(true);
        }
        self.pending.extend_from_slice(bytes);
        let mut used = 0;
        let outcome = self.read(&mut used);
        self.pending.drain(..used);
        outcome
    }

    /// The positions that were read.
    pub fn into_positions(self) -> BTreeMap<DatabaseName, Position> {
        self.positions
    }

    fn read(&mut self, used: &mut usize) -> Result<bool, PositionMapError> {
        let mut rest = match self.rest {
            Some(rest) => rest,
            None if self.pending.len() < 4 => return Ok(false),
            None => {
                *used = 4;
                be32(&self.pending, 0)
            }
        };
        self.rest = Some(rest);
        while rest > 0 {
            let entry = &self.pending[*used..];
            if entry.len() < 4 {
                return Ok(false);
            }
            let found = be32(entry, 0);
            if found as usize > DatabaseName::MAX_LEN {
                return Err(PositionMapError::Length { found });
            }
            let len = FIXED + found as usize;
            if entry.len() < len {
                return Ok(false);
            }
            let name = core::str::from_utf8(&entry[4..len - 16]).map_err(|_| PositionMapError::Encoding)?;
            let position = Position {
                txid: Txid::new(be64(entry, len - 16)),
                checksum: Checksum::new(be64(entry, len - 8)),
            };
            self.positions.insert(DatabaseName::new(name)?, position);
            *used += len;
            rest -= 1;
            self.rest = Some(rest);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> DatabaseName {
        DatabaseName::new(text).unwrap()
    }

    fn at(txid: u64, checksum: u64) -> Position {
        Position { txid: Txid::new(txid), checksum: Checksum::new(checksum) }
    }

    fn read(bytes: &[u8]) -> Result<(bool, BTreeMap<DatabaseName, Position>), PositionMapError> {
        let mut reader = PositionMapReader::new();
        let complete = reader.feed(bytes)?;
        Ok((complete, reader.into_positions()))
    }

    #[test]
    fn position_map_is_that_of_a_recorded_request() {
        let bytes = b"\0\0\0\x02\0\0\0\x02db\0\0\0\0\0\0\0\x01\xf9\x50\x80\x0d\x3b\x9f\xf0\x43\
            \0\0\0\x07gone.db\0\0\0\0\0\0\0\x03\x80\0\0\0\0\0\0\x01";
        let positions = BTreeMap::from([
            (name("db"), at(1, 0xf950_800d_3b9f_f043)),
            (name("gone.db"), at(3, 0x8000_0000_0000_0001)),
        ]);
        assert_eq!(encode_position_map(&positions), bytes);
        assert_eq!(read(bytes), Ok((true, positions)));
        assert_eq!(encode_position_map(&BTreeMap::new()), [0; 4]);
    }

    #[test]
    fn nonsense_is_refused_as_soon_as_it_shows() {
        assert_eq!(read(b"\0\0\0\x01\xff\xff\xff\xff"), Err(PositionMapError::Length { found: u32::MAX }));
        let entry = |name: &[u8]| [b"\0\0\0\x01\0\0\0", &[name.len() as u8][..], name, &[0; 16]].concat();
        assert_eq!(read(&entry(b"\xff")), Err(PositionMapError::Encoding));
        assert_eq!(read(&entry(b"..")), Err(PositionMapError::Name(InvalidDatabaseName::Directory)));
        assert_eq!(read(&entry(b"")), Err(PositionMapError::Name(InvalidDatabaseName::Empty)));
    }

    #[test]
    fn number_that_promises_billions_of_entries_costs_nothing() {
        assert_eq!(read(b"\xff\xff\xff\xff"), Ok((false, BTreeMap::new())));
    }

    proptest! {
        #[test]
        fn position_map_is_read_back_wherever_it_is_cut(
            entries in prop::collection::btree_map("[a-z.]{1,20}x", any::<(u64, u64)>(), 0..8),
            pieces in prop::collection::vec(1..40usize, 1..20),
        ) {
            let positions: BTreeMap<_, _> =
                entries.into_iter().map(|(text, (txid, checksum))| (name(&text), at(txid, checksum))).collect();
            let bytes = encode_position_map(&positions);
            let mut reader = PositionMapReader::new();
            let mut pieces = pieces.into_iter().cycle();
            let mut fed = 0;
            while fed < bytes.len() {
                let end = bytes.len().min(fed + pieces.next().unwrap());
                prop_assert_eq!(reader.feed(&bytes[fed..end]), Ok(end == bytes.len()));
                fed = end;
            }
            prop_assert_eq!(reader.feed(b"ignored"), Ok(true));
            prop_assert_eq!(reader.into_positions(), positions);
        }
    }
}
