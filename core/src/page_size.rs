use core::fmt;

use crate::PageNumber;

/// Byte in the database file where SQLite's locks begin. The page that holds it stores nothing (SQLite file format 1.4).
const LOCK_BYTE: u64 = 0x4000_0000;

/// Bytes in a page of a database: a power of two from 512 to 65536.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PageSize(u32);

impl PageSize {
    /// The smallest page, 512 bytes.
    pub const MIN: Self = Self(512);
    /// The largest page, 65536 bytes.
    pub const MAX: Self = Self(65536);

    /// The page size of `bytes` bytes, if SQLite can have such pages.
    pub const fn new(bytes: u32) -> Result<Self, InvalidPageSize> {
        if bytes.is_power_of_two() && bytes >= Self::MIN.0 && bytes <= Self::MAX.0 {
            Ok(Self(bytes))
        } else {
            Err(InvalidPageSize { found: bytes })
        }
    }

    /// Bytes in a page.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Bytes in a page, as a buffer length.
    pub const fn bytes(self) -> usize {
        self.0 as usize
    }

    /// The page that SQLite never stores anything in, because its lock bytes lie there.
    pub fn lock_page(self) -> PageNumber {
        let number = u32::try_from(LOCK_BYTE / u64::from(self.0)).unwrap_or(u32::MAX) + 1;
        PageNumber::new(number).unwrap_or(PageNumber::FIRST)
    }

    /// Pages that a database can grow by, at most, in a transaction that has `written` pages.
    ///
    /// SQLite leaves pages unwritten that are new and already free again. It lists each of them in a page of the freelist,
    /// four bytes each, and that one it writes. Then there is the lock page. Whoever claims more growth than that would
    /// make the memory run out: a commit is a few bytes, and the checksums of 4 billion pages are not.
    pub const fn max_growth(self, written: usize) -> u64 {
        (written as u64).saturating_mul(1 + self.0 as u64 / 4).saturating_add(1)
    }

    /// Byte in the database file where a page begins.
    pub const fn offset_of(self, page: PageNumber) -> u64 {
        (page.get() as u64 - 1) * self.0 as u64
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number of bytes that no SQLite page can have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid page size {found}: expected a power of two from 512 to 65536")]
pub struct InvalidPageSize {
    /// The number of bytes.
    pub found: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_page_is_the_one_at_one_gibibyte() {
        for (size, lock_page) in
            [(512, 2097153), (1024, 1048577), (4096, 262145), (32768, 32769), (65536, 16385)]
        {
            let size = PageSize::new(size).unwrap();
            assert_eq!(size.lock_page().get(), lock_page);
            assert_eq!(size.offset_of(size.lock_page()), 0x4000_0000);
        }
    }

    #[test]
    fn only_powers_of_two_from_512_to_65536_are_page_sizes() {
        let accepted: alloc::vec::Vec<u32> = (0..=131_072).filter(|n| PageSize::new(*n).is_ok()).collect();
        assert_eq!(accepted, [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]);
    }

    #[test]
    fn database_grows_by_what_is_written_and_what_that_can_list_as_free() {
        assert_eq!(PageSize::MIN.max_growth(0), 1);
        assert_eq!(PageSize::MIN.max_growth(2), 2 + 2 * 128 + 1);
        assert_eq!(PageSize::MAX.max_growth(usize::MAX), u64::MAX);
    }

    #[test]
    fn offsets_do_not_wrap_at_four_gibibytes() {
        let last = PageNumber::new(u32::MAX).unwrap();
        assert_eq!(PageSize::MAX.offset_of(last), (u64::from(u32::MAX) - 1) * 65536);
    }
}
