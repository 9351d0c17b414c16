use alloc::collections::BTreeSet;

use crate::{PageNumber, PageSize};

/// What was written to the database file itself since the last transaction, in rollback mode or without a journal.
#[derive(Debug, Default)]
pub(super) struct RollbackCapture {
    dirty: BTreeSet<PageNumber>,
    /// The dirty pages are not all known: the whole file has to be compared.
    pub(super) dirty_unknown: bool,
    /// The journal holds something: a transaction is open, or a hot journal waits to be rolled back.
    pub(super) journal_active: bool,
    /// The database file was written while no journal was active, so no journal operation will end it.
    pub(super) unjournaled: bool,
    /// The program synced a file since the transaction began, so it expects the commit to survive a loss of power.
    pub(super) synced: bool,
}

impl RollbackCapture {
    /// Notes a write of `len` bytes at `offset` to the database file.
    pub(super) fn wrote(&mut self, page_size: Option<PageSize>, offset: u64, len: u64) {
        self.unjournaled |= !self.journal_active;
        let Some(page_size) = page_size else {
            self.dirty_unknown = true;
            return;
        };
        let size = u64::from(page_size.get());
        for page in offset / size..(offset + len).div_ceil(size) {
            let number = u32::try_from(page + 1).ok().and_then(PageNumber::new);
            self.dirty.extend(number);
        }
    }

    /// Whether the file may differ from the last transaction.
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty_unknown || !self.dirty.is_empty()
    }

    /// Whether the page may differ from the last transaction.
    pub(super) fn may_have_changed(&self, page: PageNumber) -> bool {
        self.dirty_unknown || self.dirty.contains(&page)
    }

    /// The pages written, ascending; meaningless where they are not all known.
    pub(super) fn dirty(&self) -> impl Iterator<Item = PageNumber> + '_ {
        self.dirty.iter().copied()
    }

    /// Anything may have been written to the database file, without a journal.
    pub(super) fn replaced(&mut self) {
        self.unjournaled = true;
        self.dirty_unknown = true;
    }

    /// The transaction ended, by commit or by rollback.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }
}
