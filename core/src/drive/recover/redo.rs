//! Following the log.

use alloc::vec::Vec;

use super::{OpenError, Recovery, database_len};
use crate::drive::StoredFile;
use crate::log::Stored;
use crate::{Checksum, Disk, File, PageNumber, PageSize, PageSums, ReadAt, Txid, ltx};

/// What is done with the pages of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    /// Their checksums are taken into the state.
    Sums,
    /// Their content is written to the database file.
    Redo,
    /// What the database file has of them is written there again. Where an earlier process failed to sync the file, the
    /// kernel takes it for written otherwise.
    Rewrite,
}

impl<D: Disk> Recovery<D> {
    /// Goes through the log after `after`.
    pub(super) fn follow_log(&mut self, after: Txid, follow: Follow) -> Result<(), OpenError> {
        let stored: Vec<Stored> = match self.log.after(after) {
            Some(stored) => stored.copied().collect(),
            // Only with no saved checksums: then the log is gone through from its beginning.
            None => self
                .log
                .after(self.log.first().map_or(Txid::ZERO, |first| first.min_txid.prev()))
                .map_or_else(Vec::new, |stored| stored.copied().collect()),
        };
        for stored in stored {
            self.follow_file(stored, follow)?;
            self.report.redone += usize::from(follow == Follow::Redo);
        }
        Ok(())
    }

    pub(super) fn follow_file(&mut self, stored: Stored, follow: Follow) -> Result<(), OpenError> {
        let damaged = |reason| OpenError::Log { from: stored.min_txid, to: stored.post.txid, reason };
        let file = StoredFile::new(&self.disk, stored);
        let mut decoder = ltx::Decoder::new();
        let mut chunk = alloc::vec![0; 64 * 1024];
        let mut offset = 0;
        let mut page_size = PageSize::MIN;
        let mut found: Option<ltx::Header> = None;
        let mut sums = Vec::new();
        loop {
            while let Some(item) = decoder.next().map_err(damaged)? {
                match item {
                    ltx::Item::Header(header) => {
                        page_size = header.page_size;
                        found = Some(header);
                    }
                    ltx::Item::Page { number, data } => match follow {
                        Follow::Sums => sums.push((number, Checksum::of_page(number, data))),
                        Follow::Rewrite => self.rewrite(page_size, number)?,
                        Follow::Redo => {
                            if page_size.offset_of(number) + u64::from(page_size.get()) > self.found_len {
                                self.regrown.insert(number);
                            }
                            self.disk.write_at(File::Database, page_size.offset_of(number), data)?;
                        }
                    },
                    ltx::Item::End(_) => {
                        // The file gets its length at the end of all: were it shorter for a while, a crash could not tell
                        // that from a file that was truncated.
                        let Some(header) = found.filter(|_| follow == Follow::Sums) else { continue };
                        if self.state.page_size.replace(page_size) != Some(page_size) {
                            self.state.sums = PageSums::default();
                        }
                        let fault = |fault| damaged(ltx::DecodeError { offset, fault });
                        self.state.sums.follow(&header, &sums).map_err(fault)?;
                    }
                }
            }
            let read = file.read_at(offset, &mut chunk)?;
            if read == 0 {
                return decoder.finish().map(drop).map_err(damaged);
            }
            decoder.feed(&chunk[..read]);
            offset += read as u64;
        }
    }

    fn rewrite(&self, page_size: PageSize, page: PageNumber) -> Result<(), OpenError> {
        let mut content = alloc::vec![0; page_size.bytes()];
        let read = self.disk.read_at(File::Database, page_size.offset_of(page), &mut content)?;
        if read == content.len() {
            self.disk.write_at(File::Database, page_size.offset_of(page), &content)?;
        }
        Ok(())
    }

    /// Gives the database file the length that the log says.
    pub(super) fn trim_file(&self) -> Result<(), OpenError> {
        let Some(page_size) = self.state.page_size else { return Ok(()) };
        Ok(self.disk.set_len(File::Database, database_len(page_size, &self.state.sums))?)
    }

    /// Checks that the database file has every page it should: it reached to it before, or the log brought it back.
    pub(super) fn check_whole(&self) -> Result<(), OpenError> {
        let Some(page_size) = self.state.page_size else { return Ok(()) };
        let whole = u32::try_from(self.found_len / u64::from(page_size.get())).unwrap_or(u32::MAX);
        let mut lost = (whole.saturating_add(1)..=self.state.sums.page_count()).filter_map(PageNumber::new);
        match lost.find(|page| !self.regrown.contains(page) && *page != page_size.lock_page()) {
            Some(page) => Err(OpenError::Short { found_len: self.found_len, page, expected: self.log.end() }),
            None => Ok(()),
        }
    }
}
