//! Keeping an image of the database readable while it changes.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Debug;

use super::Driver;
use crate::database::Request;
use crate::{Disk, Errno, File, PageNumber};

/// Somebody who reads the database page by page, as it was when the reading began.
///
/// Readers in SQLite are kept from changes by locks, which then keep writers waiting. A snapshot takes no lock: it is
/// handed each page that is about to change and that it has not read yet.
pub trait Preserve: Debug + Send + Sync {
    /// Whether the content of this page is still needed. A page is asked about each time it changes.
    fn wants(&self, page: PageNumber) -> bool;

    /// Takes the content that the page had when the reading began.
    fn keep(&self, page: PageNumber, content: &[u8]);
}

impl<D: Disk> Driver<D> {
    /// Hands `preserver` every page that it wants before the page changes, for as long as somebody else holds it.
    pub fn add_preserver(&mut self, preserver: Arc<dyn Preserve>) {
        self.preservers.push(preserver);
    }

    /// Preserves what the request that was just begun is going to change.
    pub(super) fn preserve_before(&mut self, request: &Request<'_>) -> Result<(), Errno> {
        let size = self.database.page_size().map_or(1, |size| u64::from(size.get()));
        let (first, end) = match *request {
            Request::Write { file: File::Wal, .. } => {
                return self.preserve(self.database.staged_pages().collect());
            }
            Request::Write { file: File::Database, offset, data } => {
                (offset / size, (offset + data.len() as u64).div_ceil(size))
            }
            Request::SetLen { file: File::Database, len } => {
                (len / size, u64::from(self.database.page_count()))
            }
            _ => return Ok(()),
        };
        let pages = (first + 1..=end).filter_map(|number| PageNumber::new(u32::try_from(number).ok()?));
        self.preserve(pages.collect())
    }

    pub(super) fn preserve(&mut self, pages: Vec<PageNumber>) -> Result<(), Errno> {
        self.preservers.retain(|preserver| Arc::strong_count(preserver) > 1);
        let Some(page_size) = self.database.page_size() else { return Ok(()) };
        let mut content = alloc::vec![0; page_size.bytes()];
        for page in pages {
            if !self.preservers.iter().any(|preserver| preserver.wants(page)) {
                continue;
            }
            self.database.source(page).read(&self.disk, page_size, page, &mut content)?;
            for preserver in self.preservers.iter().filter(|preserver| preserver.wants(page)) {
                preserver.keep(page, &content);
            }
        }
        Ok(())
    }
}
