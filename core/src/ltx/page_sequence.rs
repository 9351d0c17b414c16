use super::Header;
use crate::{PageNumber, PageSize};

/// Which page may come next in an LTX file. Writer and reader keep to the same rules.
///
/// Pages ascend, none is beyond the database or the lock page. A snapshot has every page there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageSequence {
    page_size: PageSize,
    commit: u32,
    is_snapshot: bool,
    last: Option<PageNumber>,
}

impl PageSequence {
    pub(super) fn new(header: &Header) -> Self {
        let Header { page_size, commit, .. } = *header;
        Self { page_size, commit, is_snapshot: header.is_snapshot(), last: None }
    }

    /// Checks that `page` may come next and moves on to it. After an error the sequence is as before.
    pub(super) fn admit(&mut self, page: PageNumber) -> Result<(), PageSequenceError> {
        if page.get() > self.commit {
            return Err(PageSequenceError::OutOfBounds { page, commit: self.commit });
        }
        if page == self.page_size.lock_page() {
            return Err(PageSequenceError::LockPage { page });
        }
        let previous = self.last.map_or(0, PageNumber::get);
        if page.get() <= previous {
            return Err(PageSequenceError::Order { page, previous });
        }
        if self.is_snapshot && page.get() != self.following(previous) {
            return Err(PageSequenceError::Gap { page, expected: self.following(previous) });
        }
        self.last = Some(page);
        Ok(())
    }

    /// Checks that the pages may end here.
    pub(super) fn finish(&self) -> Result<(), PageSequenceError> {
        let next = self.following(self.last.map_or(0, PageNumber::get));
        if self.is_snapshot && next <= self.commit {
            return Err(PageSequenceError::Incomplete { expected: next, commit: self.commit });
        }
        Ok(())
    }

    /// The next page of a snapshot after `page`.
    fn following(&self, page: u32) -> u32 {
        let next = page.saturating_add(1);
        if next == self.page_size.lock_page().get() { next + 1 } else { next }
    }
}

/// Why a page cannot stand where it does in an LTX file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PageSequenceError {
    /// The page is beyond the end of the database.
    #[error("page {page} of a database with {commit} pages")]
    OutOfBounds {
        /// The page.
        page: PageNumber,
        /// Pages in the database.
        commit: u32,
    },
    /// The page is the one that SQLite stores nothing in.
    #[error("page {page} is the lock page, which cannot be in an LTX file")]
    LockPage {
        /// The page.
        page: PageNumber,
    },
    /// The page is not after the one before it.
    #[error("page {page} after page {previous}, expected ascending numbers")]
    Order {
        /// The page.
        page: PageNumber,
        /// The page before it.
        previous: u32,
    },
    /// A page is missing before this one.
    #[error("page {page} in a snapshot, expected page {expected} first")]
    Gap {
        /// The page.
        page: PageNumber,
        /// The page that should have come.
        expected: u32,
    },
    /// Pages are missing at the end.
    #[error("the snapshot ends before page {expected} of {commit}")]
    Incomplete {
        /// The page that should have come.
        expected: u32,
        /// Pages in the database.
        commit: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(commit: u32, is_snapshot: bool) -> PageSequence {
        PageSequence { page_size: PageSize::MAX, commit, is_snapshot, last: None }
    }

    fn admit(sequence: &mut PageSequence, page: u32) -> Result<(), PageSequenceError> {
        sequence.admit(PageNumber::new(page).unwrap())
    }

    fn page(number: u32) -> PageNumber {
        PageNumber::new(number).unwrap()
    }

    #[test]
    fn snapshot_has_every_page_from_the_first_to_the_last() {
        let mut pages = sequence(3, true);
        assert_eq!(pages.finish(), Err(PageSequenceError::Incomplete { expected: 1, commit: 3 }));
        assert_eq!(admit(&mut pages, 2), Err(PageSequenceError::Gap { page: page(2), expected: 1 }));
        assert_eq!(admit(&mut pages, 1), Ok(()));
        assert_eq!(admit(&mut pages, 1), Err(PageSequenceError::Order { page: page(1), previous: 1 }));
        assert_eq!(admit(&mut pages, 3), Err(PageSequenceError::Gap { page: page(3), expected: 2 }));
        assert_eq!(admit(&mut pages, 2), Ok(()));
        assert_eq!(pages.finish(), Err(PageSequenceError::Incomplete { expected: 3, commit: 3 }));
        assert_eq!(admit(&mut pages, 3), Ok(()));
        assert_eq!(pages.finish(), Ok(()));
        assert_eq!(admit(&mut pages, 4), Err(PageSequenceError::OutOfBounds { page: page(4), commit: 3 }));
        assert_eq!(sequence(0, true).finish(), Ok(()));
    }

    #[test]
    fn snapshot_goes_on_behind_the_lock_page() {
        let lock_page = 16385;
        let mut pages = sequence(lock_page + 1, true);
        for number in 1..lock_page {
            assert_eq!(admit(&mut pages, number), Ok(()));
        }
        let refused = PageSequenceError::LockPage { page: page(lock_page) };
        assert_eq!(admit(&mut pages, lock_page), Err(refused));
        assert!(pages.finish().is_err());
        assert_eq!(admit(&mut pages, lock_page + 1), Ok(()));
        assert_eq!(pages.finish(), Ok(()));
    }

    #[test]
    fn snapshot_of_a_database_that_ends_with_the_lock_page_is_complete_before_it() {
        let mut pages = sequence(16385, true);
        for number in 1..16385 {
            assert_eq!(admit(&mut pages, number), Ok(()));
        }
        assert_eq!(pages.finish(), Ok(()));
    }

    #[test]
    fn transaction_has_ascending_pages_with_gaps() {
        let mut pages = sequence(20_000, false);
        assert_eq!(pages.finish(), Ok(()));
        assert_eq!(admit(&mut pages, 7), Ok(()));
        assert_eq!(admit(&mut pages, 20_000), Ok(()));
        assert_eq!(
            admit(&mut pages, 20_000),
            Err(PageSequenceError::Order { page: page(20_000), previous: 20_000 })
        );
        assert_eq!(admit(&mut pages, 8), Err(PageSequenceError::Order { page: page(8), previous: 20_000 }));
        let refused = PageSequenceError::LockPage { page: page(16385) };
        assert_eq!(admit(&mut sequence(20_000, false), 16385), Err(refused));
        assert_eq!(pages.finish(), Ok(()));
    }
}
