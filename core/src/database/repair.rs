//! Giving every page a checksum, where a LiteFS primary left some out.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Database, Effect, Staged};
use crate::{Errno, Now, PageNumber, PageSource, View};

impl Database {
    /// Begins a transaction with the pages that no transaction ever had, so that this node can send snapshots whose
    /// pages add up to the checksum they claim. Nothing is to be done where there are none, or while programs are in
    /// a transaction.
    ///
    /// # Errors
    /// What the disk answered; nothing was changed.
    pub fn begin_repair<V: View>(&mut self, view: &V, now: Now) -> Result<Vec<Effect>, Errno> {
        self.staged = Staged::Nothing;
        let Some(page_size) = self.page_size else { return Ok(Vec::new()) };
        let absent: Vec<PageNumber> = self.sums.absent(page_size).collect();
        if absent.is_empty() || self.is_dirty() || self.has_active_journal() || self.stopped.is_some() {
            return Ok(Vec::new());
        }
        let mut pages = Vec::with_capacity(absent.len());
        for page in absent {
            pages.push((page, PageSource::Database, self.database_sum(view, page)?));
        }
        let header = self.options.next_header(self.position, page_size, self.page_count(), now);
        let commit = self.commit_of(header, pages, self.journal_mode, false);
        let transaction = Box::new(commit.transaction.clone());
        self.staged = Staged::JournalEnd(Some(Box::new(commit)));
        Ok(alloc::vec![Effect::AppendPending, Effect::Append(transaction), Effect::MarkWal, Effect::SyncLog])
    }
}
