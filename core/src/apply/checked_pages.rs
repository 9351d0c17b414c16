use alloc::vec::Vec;

use super::{ApplyError, Pages};
use crate::{PageNumber, PageSize};

/// The pages of a transaction, each checked to fit it before it is handed out.
pub(super) struct CheckedPages<'a> {
    source: &'a mut dyn Pages,
    page_size: PageSize,
    commit: u32,
    last: Option<PageNumber>,
    count: u32,
    peeked: Option<(PageNumber, Vec<u8>)>,
    current: Vec<u8>,
}

impl<'a> CheckedPages<'a> {
    pub(super) fn new(source: &'a mut dyn Pages, page_size: PageSize, commit: u32) -> Self {
        Self { source, page_size, commit, last: None, count: 0, peeked: None, current: Vec::new() }
    }

    pub(super) fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// Pages in the database after the transaction.
    pub(super) fn commit(&self) -> u32 {
        self.commit
    }

    /// The page that comes next, without taking it.
    pub(super) fn peek(&mut self) -> Result<Option<(PageNumber, &[u8])>, ApplyError> {
        if self.peeked.is_none() {
            self.peeked = self.pull()?.map(|(page, content)| (page, content.to_vec()));
        }
        Ok(self.peeked.as_ref().map(|(page, content)| (*page, content.as_slice())))
    }

    pub(super) fn next(&mut self) -> Result<Option<(PageNumber, &[u8])>, ApplyError> {
        match self.peeked.take() {
            Some((page, content)) => {
                self.current = content;
                Ok(Some((page, &self.current)))
            }
            None => self.pull(),
        }
    }

    /// Checks that the pages, all taken by now, are every page of the database.
    pub(super) fn check_complete(&self) -> Result<(), ApplyError> {
        let lock_page = u32::from(self.page_size.lock_page().get() <= self.commit);
        let expected = self.commit - lock_page;
        if self.count == expected {
            Ok(())
        } else {
            Err(ApplyError::Incomplete { found: self.count, expected })
        }
    }

    fn pull(&mut self) -> Result<Option<(PageNumber, &[u8])>, ApplyError> {
        let Some((page, content)) = self.source.next_page().map_err(ApplyError::Pages)? else {
            return Ok(None);
        };
        if let Some(last) = self.last.filter(|last| *last >= page) {
            return Err(ApplyError::PageOrder { page, last });
        }
        if page.get() > self.commit {
            return Err(ApplyError::PageBeyondCommit { page, commit: self.commit });
        }
        if page == self.page_size.lock_page() {
            return Err(ApplyError::LockPage { page });
        }
        let expected = self.page_size.bytes();
        if content.len() != expected {
            return Err(ApplyError::PageLength { page, found: content.len(), expected });
        }
        self.last = Some(page);
        self.count += 1;
        Ok(Some((page, content)))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use super::*;

    fn check(pages: &[(u32, usize)], commit: u32) -> Result<(), String> {
        let content = [0; 1024];
        let pages: Vec<_> = pages
            .iter()
            .map(|(page, len)| (PageNumber::new(*page).unwrap(), content[..*len].to_vec()))
            .collect();
        let mut source = pages.iter();
        let mut pages = CheckedPages::new(&mut source, PageSize::MIN, commit);
        pages.peek().map_err(|error| error.to_string())?;
        while pages.next().map_err(|error| error.to_string())?.is_some() {}
        pages.check_complete().map_err(|error| error.to_string())
    }

    #[test]
    fn pages_that_do_not_fit_the_transaction_are_refused() {
        assert_eq!(check(&[(1, 512), (2, 512)], 2), Ok(()));
        let error = |pages: &[(u32, usize)], commit| check(pages, commit).unwrap_err();
        assert_eq!(error(&[(1, 512), (2, 1024)], 2), "page 2 has 1024 bytes, expected 512");
        assert_eq!(error(&[(2, 512), (2, 512)], 2), "page 2 comes after page 2, expected ascending numbers");
        assert_eq!(error(&[(3, 512)], 2), "page 3 is beyond the 2 pages of the database");
        assert_eq!(
            error(&[(2097153, 512)], 3_000_000),
            "page 2097153 is the lock page, which no transaction has"
        );
        assert_eq!(error(&[(2, 512)], 2), "the transaction has 1 pages, but replaces a database of 2");
    }
}
