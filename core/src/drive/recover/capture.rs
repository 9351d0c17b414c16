//! Taking into the log what only the WAL has.

use alloc::collections::BTreeMap;

use super::{OpenError, Recovery};
use crate::drive::bring_together::write_back;
use crate::drive::wal_scan::{self, WalTransaction};
use crate::sqlite::wal::{self, WalHeader};
use crate::{Checksum, Disk, File, Mistake, PageNumber, PageSource, Transaction, ltx};

impl<D: Disk> Recovery<D> {
    /// Appends to the log what is committed in the WAL and not there yet. The state must be that of the log's end.
    pub(super) fn capture_wal(&mut self) -> Result<(), OpenError> {
        let Some((header, transactions)) = wal_scan::scan(&self.disk, self.options.planted)? else {
            return Ok(());
        };
        let covered = self.covered(&header);
        let mut frames = BTreeMap::new();
        for transaction in &transactions {
            if transaction.start >= covered {
                self.capture(&header, transaction, &frames)?;
            }
            frames.extend(transaction.frames.iter().map(|(page, offset, _)| (*page, *offset)));
        }
        self.log.sync(&self.disk)?;
        Ok(())
    }

    /// Bytes of the WAL whose transactions are in the log.
    pub(super) fn covered(&self, header: &WalHeader) -> u64 {
        if self.log.is_superseded(header.salt) && !self.makes(Mistake::IgnoresSupersededWal) {
            return u64::MAX;
        }
        let any = self.makes(Mistake::IgnoresSalts);
        let coverage = self.log.coverage().filter(|coverage| any || coverage.salt == header.salt);
        coverage.map_or(wal::HEADER_LEN as u64, |coverage| coverage.end)
    }

    pub(super) fn capture(
        &mut self,
        header: &WalHeader,
        found: &WalTransaction,
        earlier: &BTreeMap<PageNumber, u64>,
    ) -> Result<(), OpenError> {
        let page_size = header.page_size;
        let old_count = self.state.sums.page_count();
        let mut pages: BTreeMap<PageNumber, (PageSource, Checksum)> = BTreeMap::new();
        for number in old_count + 1..=found.commit {
            let Some(page) = PageNumber::new(number).filter(|page| *page != page_size.lock_page()) else {
                continue;
            };
            let source = earlier.get(&page).map_or(PageSource::Database, |offset| PageSource::Frame(*offset));
            pages.insert(page, (source, source.checksum(&self.disk, page_size, page)?));
        }
        for (page, offset, sum) in &found.frames {
            let in_database = page.get() <= found.commit && *page != page_size.lock_page();
            if in_database && (page.get() > old_count || self.state.sums.get(*page) != *sum) {
                pages.insert(*page, (PageSource::Frame(*offset), *sum));
            }
        }
        if pages.is_empty() && found.commit == old_count {
            return Ok(());
        }
        let mut ltx_header = self.options.next_header(self.log.end(), page_size, found.commit, self.now);
        ltx_header.wal_salt = header.salt;
        ltx_header.wal_offset = found.start;
        ltx_header.wal_size = found.end - found.start;
        self.state.page_size = Some(page_size);
        self.append(ltx_header, pages)?;
        self.report.captured += 1;
        Ok(())
    }

    /// Appends a transaction and takes it into the state.
    pub(super) fn append(
        &mut self,
        header: ltx::Header,
        pages: BTreeMap<PageNumber, (PageSource, Checksum)>,
    ) -> Result<(), OpenError> {
        self.state.sums.resize(header.commit);
        for (page, (_, sum)) in &pages {
            self.state.sums.set(*page, *sum);
        }
        let pages = pages.into_iter().map(|(page, (source, _))| (page, source)).collect();
        let transaction = Transaction { header, pages, post_apply: self.state.sums.total() };
        self.log.append(&self.disk, &transaction)?;
        Ok(())
    }

    /// Copies what is committed in the WAL into the database file, as SQLite's checkpoint does: what the log does not
    /// have, or all of it if nobody knows what the file holds. Returns the pages of transactions that the log does not
    /// have.
    ///
    /// The WAL may be behind the log, so what the log has is taken from there.
    pub(super) fn backfill_wal(&mut self) -> Result<BTreeMap<PageNumber, u64>, OpenError> {
        let mut new = BTreeMap::new();
        let Some((header, mut transactions)) = wal_scan::scan(&self.disk, self.options.planted)? else {
            return Ok(new);
        };
        let covered = self.covered(&header);
        for transaction in transactions.iter().filter(|transaction| transaction.start >= covered) {
            new.extend(transaction.frames.iter().map(|(page, offset, _)| (*page, *offset)));
        }
        if !self.adopt {
            transactions.retain(|transaction| transaction.start >= covered);
        }
        if transactions.is_empty() || self.log.is_superseded(header.salt) {
            return Ok(new);
        }
        // As SQLite does before a checkpoint: what is half in the database file must be whole in the WAL.
        self.disk.sync(File::Wal)?;
        write_back(&self.disk, &header, &transactions)?;
        self.state.page_size = Some(header.page_size);
        Ok(new)
    }
}
