//! Reading the whole database file, where the log does not say what it holds.

use alloc::collections::BTreeMap;

use super::{OpenError, Recovery};
use crate::{Checksum, Disk, File, PageNumber, PageSize, PageSource, PageSums, Position};

impl<D: Disk> Recovery<D> {
    /// Makes a transaction of what the database file has and the log does not, where the checksums at the log's end are
    /// known.
    pub(super) fn adopt_file(&mut self) -> Result<(), OpenError> {
        let (page_size, sums) = self.read_file()?;
        if self.state.page_size != Some(page_size) {
            self.state.sums = PageSums::default();
        }
        let mut pages = BTreeMap::new();
        for (number, sum) in (1..).zip(sums.iter()) {
            let Some(page) = PageNumber::new(number).filter(|page| *page != page_size.lock_page()) else {
                continue;
            };
            if number > self.state.sums.page_count() || self.state.sums.get(page) != sum {
                pages.insert(page, (PageSource::Database, sum));
            }
        }
        if pages.is_empty() && sums.page_count() == self.state.sums.page_count() {
            return Ok(());
        }
        self.state.page_size = Some(page_size);
        self.append(self.options.next_header(self.log.end(), page_size, sums.page_count(), self.now), pages)?;
        self.report.adopted = true;
        Ok(())
    }

    /// Reads the whole database file, without knowing what it should hold. What is new in it becomes a transaction: the
    /// pages that only the WAL had, or all of them if the file may be anything.
    pub(super) fn scan_file(&mut self, in_wal: &BTreeMap<PageNumber, u64>) -> Result<(), OpenError> {
        if self.disk.len(File::Database)?.unwrap_or(0) == 0 && !self.adopt {
            let end = self.log.end();
            if end != Position::ZERO && end.checksum != Checksum::EMPTY {
                return Err(OpenError::Mismatch { expected: end, found: Checksum::EMPTY });
            }
            return Ok(());
        }
        let (page_size, mut sums) = self.read_file()?;
        let end = self.log.end();
        if sums.total() != end.checksum && !self.adopt {
            // Transactions of a LiteFS primary may leave pages out that it never wrote.
            let present = sums.without_zero_pages(page_size);
            if present.total() == end.checksum {
                sums = present;
            }
        }
        if sums.total() != end.checksum && !(end == Position::ZERO && sums.page_count() == 0) {
            // A database without a log was put here by a person: its first transaction is all of it.
            let whole = self.adopt || end == Position::ZERO;
            if !whole && in_wal.is_empty() {
                return Err(OpenError::Mismatch { expected: end, found: sums.total() });
            }
            let mut pages = BTreeMap::new();
            for (number, sum) in (1..).zip(sums.iter()) {
                let Some(page) = PageNumber::new(number) else { continue };
                if page != page_size.lock_page() && (whole || in_wal.contains_key(&page)) {
                    pages.insert(page, (PageSource::Database, sum));
                }
            }
            self.state.sums = sums.clone();
            self.append(
                self.options.next_header(self.log.end(), page_size, sums.page_count(), self.now),
                pages,
            )?;
            self.report.adopted = whole;
            self.report.captured += usize::from(!whole);
        }
        self.state.page_size = Some(page_size);
        self.state.sums = sums;
        Ok(())
    }

    /// The page size and all page checksums of the database file.
    pub(super) fn read_file(&mut self) -> Result<(PageSize, PageSums), OpenError> {
        self.report.scanned = true;
        let len = self.disk.len(File::Database)?.unwrap_or(0);
        if len == 0 {
            return Ok((self.state.page_size.unwrap_or(PageSize::MIN), PageSums::default()));
        }
        let header = self.header()?.ok_or(OpenError::Incomplete)?;
        let page_size = header.page_size;
        let in_file = u32::try_from(len.div_ceil(u64::from(page_size.get()))).unwrap_or(u32::MAX);
        let page_count = header.valid_page_count().unwrap_or(in_file);
        if in_file < page_count && self.adopt {
            return Err(OpenError::Incomplete);
        }
        if u64::from(page_count) > u64::from(in_file) + page_size.max_growth(in_file as usize) {
            return Err(OpenError::Incomplete);
        }
        let mut sums = PageSums::default();
        sums.resize(page_count);
        for page in (1..=page_count).filter_map(PageNumber::new) {
            if page != page_size.lock_page() {
                sums.set(page, PageSource::Database.checksum(&self.disk, page_size, page)?);
            }
        }
        Ok((page_size, sums))
    }
}
