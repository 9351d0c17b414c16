//! The header of a database file (SQLite file format 1.3).

use crate::bytes::be32;
use crate::{InvalidPageSize, PageSize};

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What the first 100 bytes of a database say, as far as replication cares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DatabaseHeader {
    /// Bytes in a page.
    pub page_size: PageSize,
    /// 1 in rollback mode, 2 in WAL mode, anything else is read-only for the SQLite of today.
    pub write_version: u8,
    /// 1 in rollback mode, 2 in WAL mode, anything else is unreadable for the SQLite of today.
    pub read_version: u8,
    /// Counts transactions in rollback mode, so that readers notice them.
    pub change_counter: u32,
    /// Pages of the database as its last writer saw it. See [`DatabaseHeader::valid_page_count`].
    pub page_count: u32,
    /// The first trunk page of the freelist, zero without one.
    pub freelist_trunk: u32,
    /// Pages on the freelist.
    pub freelist_count: u32,
    /// Counts changes of the schema, so that prepared statements notice them.
    pub schema_cookie: u32,
    /// The change counter at the time the page count was written.
    pub version_valid_for: u32,
}

impl DatabaseHeader {
    /// Bytes of the header.
    pub const LEN: usize = 100;

    /// The header at the start of `bytes`. Only what the other fields cannot be read without is checked.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidDatabaseHeader> {
        if bytes.len() < Self::LEN {
            return Err(InvalidDatabaseHeader::Short { found: bytes.len() });
        }
        if !bytes.starts_with(MAGIC) {
            return Err(InvalidDatabaseHeader::Magic);
        }
        let page_size = match u16::from_be_bytes([bytes[16], bytes[17]]) {
            1 => PageSize::MAX,
            size => PageSize::new(u32::from(size))?,
        };
        Ok(Self {
            page_size,
            write_version: bytes[18],
            read_version: bytes[19],
            change_counter: be32(bytes, 24),
            page_count: be32(bytes, 28),
            freelist_trunk: be32(bytes, 32),
            freelist_count: be32(bytes, 36),
            schema_cookie: be32(bytes, 40),
            version_valid_for: be32(bytes, 92),
        })
    }

    /// Whether the database is in WAL mode.
    pub fn is_wal(&self) -> bool {
        self.write_version == 2 && self.read_version == 2
    }

    /// Pages of the database, unless the last writer did not keep the number: then the length of the file tells
    /// (SQLite file format 1.3.7).
    pub fn valid_page_count(&self) -> Option<u32> {
        (self.page_count != 0 && self.change_counter == self.version_valid_for).then_some(self.page_count)
    }
}

/// Why bytes are not the header of a database.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidDatabaseHeader {
    /// The bytes end too early.
    #[error("database header of {found} bytes, expected {expected}", expected = DatabaseHeader::LEN)]
    Short {
        /// Bytes there are.
        found: usize,
    },
    /// The file is something else, or the database is encrypted.
    #[error("not a database: it does not begin with \"SQLite format 3\"")]
    Magic,
    /// The page size is not one of SQLite's.
    #[error(transparent)]
    PageSize(#[from] InvalidPageSize),
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// Of a database with 4 KiB pages in WAL mode and a freelist.
    fn header() -> [u8; 100] {
        *include_bytes!("../../testdata/sqlite/database-header")
    }

    #[test]
    fn header_that_sqlite_wrote_is_read() {
        let found = DatabaseHeader::decode(&header()).unwrap();
        assert_eq!(
            found,
            DatabaseHeader {
                page_size: PageSize::new(4096).unwrap(),
                write_version: 2,
                read_version: 2,
                change_counter: 2,
                page_count: 12,
                freelist_trunk: 6,
                freelist_count: 7,
                schema_cookie: 1,
                version_valid_for: 2,
            }
        );
        assert!(found.is_wal());
        assert_eq!(found.valid_page_count(), Some(12));
    }

    #[test]
    fn page_count_of_an_old_writer_does_not_count() {
        let mut bytes = header();
        bytes[95] ^= 1;
        assert_eq!(DatabaseHeader::decode(&bytes).unwrap().valid_page_count(), None);
        let mut bytes = header();
        bytes[28..32].fill(0);
        assert_eq!(DatabaseHeader::decode(&bytes).unwrap().valid_page_count(), None);
    }

    #[test]
    fn both_versions_say_wal_or_it_is_not() {
        for (write, read, is_wal) in [(1, 1, false), (2, 1, false), (1, 2, false), (2, 2, true)] {
            let mut bytes = header();
            bytes[18..20].copy_from_slice(&[write, read]);
            assert_eq!(DatabaseHeader::decode(&bytes).unwrap().is_wal(), is_wal);
        }
    }

    #[test]
    fn page_size_is_written_in_two_bytes() {
        let with = |size: [u8; 2]| {
            let mut bytes = header();
            bytes[16..18].copy_from_slice(&size);
            DatabaseHeader::decode(&bytes).map(|header| header.page_size.get())
        };
        assert_eq!(with([0, 1]), Ok(65536));
        assert_eq!(with([2, 0]), Ok(512));
        assert_eq!(with([0x80, 0]), Ok(32768));
        assert_eq!(with([0, 0]), Err(InvalidPageSize { found: 0 }.into()));
        assert_eq!(with([0, 2]), Err(InvalidPageSize { found: 2 }.into()));
    }

    #[test]
    fn other_files_are_not_databases() {
        assert_eq!(DatabaseHeader::decode(&header()[..99]), Err(InvalidDatabaseHeader::Short { found: 99 }));
        let other: Vec<u8> = header().iter().map(|byte| byte ^ 1).collect();
        assert_eq!(DatabaseHeader::decode(&other), Err(InvalidDatabaseHeader::Magic));
    }
}
