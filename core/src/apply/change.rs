use alloc::boxed::Box;
use alloc::vec::Vec;
use core::error::Error;

use crate::database::JournalMode;
use crate::{PageNumber, PageSize};

/// A transaction to apply: the database after it.
///
/// The caller has verified the pages, and that the transaction follows the one that the database is at.
pub struct Change<'a> {
    /// Bytes in a page.
    pub page_size: PageSize,
    /// Pages in the database after the transaction; none deletes the database.
    pub commit: u32,
    /// The pages that differ from the state before, ascending, without the lock page. A page that the database grows
    /// by and that is not among them is zeros.
    pub pages: &'a mut dyn Pages,
    /// How the database is journaled after the transaction, as its header says.
    pub journal_mode: JournalMode,
    /// The pages are all there are, whatever the database was before.
    pub snapshot: bool,
}

impl core::fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { page_size, commit, pages: _, journal_mode, snapshot } = self;
        write!(f, "Change {{ {page_size} x {commit}, {journal_mode:?}, snapshot: {snapshot} }}")
    }
}

/// Why a page could not be produced.
pub type PagesError = Box<dyn Error + Send + Sync>;

/// Pages that are produced one at a time, so that a large transaction is never in memory whole.
pub trait Pages {
    /// The next page, which is valid until the next call, or `None` after the last.
    ///
    /// # Errors
    /// Why the page could not be produced. Where readers are beside, nothing of the transaction is visible then.
    fn next_page(&mut self) -> Result<Option<(PageNumber, &[u8])>, PagesError>;
}

/// Pages in memory.
impl Pages for core::slice::Iter<'_, (PageNumber, Vec<u8>)> {
    fn next_page(&mut self) -> Result<Option<(PageNumber, &[u8])>, PagesError> {
        Ok(self.next().map(|(page, content)| (*page, content.as_slice())))
    }
}
