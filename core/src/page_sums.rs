use alloc::vec::Vec;

use crate::ltx::{Fault, Header};
use crate::{Checksum, PageNumber, PageSize};

/// The checksum of every page of a database, and of the database as a whole.
///
/// Eight bytes a page. It is what makes the work of a commit depend on the pages it changed and not on the size of
/// the database, and what tells a changed page from an unchanged one without a copy of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSums {
    /// By page number, less one. The lock page has none.
    sums: Vec<Checksum>,
    total: Checksum,
}

impl Default for PageSums {
    fn default() -> Self {
        Self { sums: Vec::new(), total: Checksum::EMPTY }
    }
}

impl PageSums {
    /// The checksums of pages 1, 2, 3 and so on.
    pub fn from_pages(sums: Vec<Checksum>) -> Self {
        let total = sums.iter().fold(Checksum::EMPTY, |total, sum| total.toggle(*sum));
        Self { sums, total }
    }

    /// The number of pages.
    pub fn page_count(&self) -> u32 {
        u32::try_from(self.sums.len()).unwrap_or(u32::MAX)
    }

    /// The checksum of the database: that of all pages, or [`Checksum::EMPTY`] without any.
    pub fn total(&self) -> Checksum {
        self.total
    }

    /// The checksum of a page; [`Checksum::ZERO`] for the lock page and pages that do not exist.
    pub fn get(&self, page: PageNumber) -> Checksum {
        self.sums.get(index(page)).copied().unwrap_or(Checksum::ZERO)
    }

    /// Records a page's new checksum, growing the database up to it.
    pub fn set(&mut self, page: PageNumber, sum: Checksum) {
        let index = index(page);
        if index >= self.sums.len() {
            self.sums.resize(index + 1, Checksum::ZERO);
        }
        self.total = self.total.toggle(self.sums[index]).toggle(sum);
        self.sums[index] = sum;
    }

    /// Makes the database `page_count` pages long, forgetting the pages beyond or adding pages without checksum.
    pub fn resize(&mut self, page_count: u32) {
        let len = page_count as usize;
        for sum in self.sums.drain(len.min(self.sums.len())..) {
            self.total = self.total.toggle(sum);
        }
        self.sums.resize(len, Checksum::ZERO);
    }

    /// Takes in the pages of an LTX file with this header.
    ///
    /// # Errors
    /// Nothing was changed: the database would grow by more than it can.
    pub fn follow(&mut self, header: &Header, changes: &[(PageNumber, Checksum)]) -> Result<(), Fault> {
        // A snapshot builds on nothing.
        let before = if header.is_snapshot() { 0 } else { self.page_count() };
        let (pages, after) = (changes.len(), header.commit);
        if u64::from(after) > u64::from(before) + header.page_size.max_growth(pages) {
            return Err(Fault::Growth { pages, before, after });
        }
        self.resize(before);
        self.resize(after);
        for (page, sum) in changes {
            self.set(*page, *sum);
        }
        Ok(())
    }

    /// The pages without a checksum, ascending. There are none but the lock page in a database that only this program
    /// wrote to. A LiteFS primary leaves pages that the database grew by and that SQLite never wrote out of its
    /// transactions and out of its checksum; they are zeros.
    pub fn absent(&self, page_size: PageSize) -> impl Iterator<Item = PageNumber> + '_ {
        let absent = (1..).zip(&self.sums).filter(|(_, sum)| **sum == Checksum::ZERO);
        absent
            .filter_map(|(number, _)| PageNumber::new(number))
            .filter(move |page| *page != page_size.lock_page())
    }

    /// The same with every page absent that holds nothing but zeros.
    pub fn without_zero_pages(&self, page_size: PageSize) -> Self {
        let zeros = alloc::vec![0; page_size.bytes()];
        let present = |(number, sum): (u32, &Checksum)| match PageNumber::new(number) {
            Some(page) if *sum != Checksum::of_page(page, &zeros) => *sum,
            _ => Checksum::ZERO,
        };
        Self::from_pages((1..).zip(&self.sums).map(present).collect())
    }

    /// The checksums in page order.
    pub fn iter(&self) -> impl Iterator<Item = Checksum> + '_ {
        self.sums.iter().copied()
    }

    /// What the checksum of the whole database would be after `changes` and at `page_count` pages.
    pub fn total_after(&self, changes: &[(PageNumber, Checksum)], page_count: u32) -> Checksum {
        let mut total = self.total;
        for (page, sum) in changes {
            total = total.toggle(self.get(*page)).toggle(*sum);
        }
        self.sums.iter().skip(page_count as usize).fold(total, |total, sum| total.toggle(*sum))
    }
}

fn index(page: PageNumber) -> usize {
    page.get() as usize - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: u32) -> PageNumber {
        PageNumber::new(number).unwrap()
    }

    #[test]
    fn pages_of_zeros_can_be_counted_as_absent() {
        let contents = [[1; 512], [0; 512], [3; 512], [0; 512]];
        let sum = |(at, content): (u32, &[u8; 512])| Checksum::of_page(page(at), content);
        let sums = PageSums::from_pages((1..).zip(&contents).map(sum).collect());
        assert_eq!(sums.absent(PageSize::MIN).count(), 0);
        let present = sums.without_zero_pages(PageSize::MIN);
        assert_eq!(present.absent(PageSize::MIN).collect::<Vec<_>>(), [page(2), page(4)]);
        let expected = Checksum::EMPTY.toggle(sums.get(page(1))).toggle(sums.get(page(3)));
        assert_eq!((present.total(), present.page_count()), (expected, 4));
    }

    #[test]
    fn transaction_that_grows_the_database_beyond_its_means_changes_nothing() {
        let mut sums = PageSums::from_pages(alloc::vec![Checksum::of_page(page(1), &[1; 512])]);
        let change = (page(2), Checksum::of_page(page(2), &[2; 512]));
        let header = |commit, min| Header {
            compressed: false,
            page_size: PageSize::MIN,
            commit,
            min_txid: crate::Txid::new(min),
            max_txid: crate::Txid::new(9),
            timestamp_ms: 0,
            pre_apply: Checksum::EMPTY,
            wal_offset: 0,
            wal_size: 0,
            wal_salt: [0, 0],
            node_id: crate::NodeId::ZERO,
        };
        let before = sums.clone();
        let fault = Fault::Growth { pages: 1, before: 1, after: u32::MAX };
        assert_eq!(sums.follow(&header(u32::MAX, 2), &[change]), Err(fault));
        assert_eq!(sums, before);
        assert_eq!(sums.follow(&header(131, 2), &[change]), Ok(()));
        assert_eq!((sums.page_count(), sums.total()), (131, before.total().toggle(change.1)));
        assert_eq!(sums.follow(&header(2, 1), &[change]), Ok(()));
        assert_eq!((sums.page_count(), sums.total()), (2, Checksum::EMPTY.toggle(change.1)));
    }

    #[test]
    fn total_follows_changes_growth_and_shrinking() {
        let mut sums = PageSums::default();
        assert_eq!(sums.total(), Checksum::EMPTY);
        let content: Vec<Checksum> = (1..=5).map(|n| Checksum::of_page(page(n), &[n as u8; 512])).collect();
        for (at, sum) in content.iter().enumerate() {
            sums.set(page(at as u32 + 1), *sum);
        }
        assert_eq!(sums, PageSums::from_pages(content));

        let changed = Checksum::of_page(page(2), &[9; 512]);
        let predicted = sums.total_after(&[(page(2), changed)], 3);
        sums.set(page(2), changed);
        sums.resize(3);
        assert_eq!(sums.total(), predicted);
        sums.resize(0);
        assert_eq!(sums.total(), Checksum::EMPTY);
    }
}
