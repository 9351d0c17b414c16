//! The rollback journal (SQLite file format 3): what the pages were before an interrupted transaction.

use alloc::vec;
use alloc::vec::Vec;

use crate::bytes::be32;
use crate::sqlite::header::DatabaseHeader;
use crate::{Errno, File, FileView, PageNumber, PageSize, ReadAt, View};

/// The first bytes of each header, and the last of the file if it names a super-journal.
pub const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// Bytes of a header that mean something. The rest of its sector is not looked at.
pub const HEADER_LEN: usize = 28;

/// The number of records that says: as many as fit into the file.
const UNCOUNTED: u32 = u32::MAX;
/// Bytes of a record beside the page: its number before it and a checksum after it.
const RECORD_EXTRA: usize = 8;
/// Bytes between the end of a super-journal's name and the end of the file: length, checksum, magic.
const NAME_TAIL: usize = 16;
/// Longest name of a super-journal that is looked for. SQLite itself allows 512 bytes.
const NAME_MAX: u32 = 4096;

/// Reads the journal that an interrupted transaction left behind, as SQLite does before it rolls the transaction back.
///
/// A journal has one or more segments, each a header in a sector of its own and records after it. What counts is what
/// was written before a page of the database was overwritten, so reading ends, without an error, at the first thing
/// that is not as it should be.
#[derive(Debug)]
pub struct JournalReader<R> {
    source: R,
    len: u64,
    /// `None` if there is no header.
    layout: Option<Layout>,
    /// Where the next record is, or, without one, the next header at the earliest; in bytes.
    offset: u64,
    /// Records still to come in this segment.
    records: u32,
    nonce: u32,
    record: Vec<u8>,
}

/// What the first header says of the whole journal.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Pages of the database before the transaction.
    original_pages: u32,
    /// Bytes in a sector: headers begin at multiples of it, and records one sector after them.
    sector: u32,
    page_size: PageSize,
}

impl<'a, V: View> JournalReader<FileView<'a, V>> {
    /// Of the journal of a database, which may be missing.
    ///
    /// # Errors
    /// As [`JournalReader::new`].
    pub(crate) fn of_database(view: &'a V) -> Result<Self, Errno> {
        let len = view.len(File::Journal)?.unwrap_or(0);
        let mut head = [0; DatabaseHeader::LEN];
        let read = view.read_at(File::Database, 0, &mut head)?;
        let page_size = DatabaseHeader::decode(&head[..read]).ok().map(|header| header.page_size);
        Self::new(FileView { view, file: File::Journal }, len, page_size)
    }
}

impl<R: ReadAt> JournalReader<R> {
    /// Of the journal in the first `len` bytes of `source`. A journal that does not say how large a page is, as those of
    /// SQLite before 3.5.8, has pages of `page_size`, which is that of the database.
    ///
    /// # Errors
    /// What the source answered. `EOPNOTSUPP` if nothing says how large a page is.
    pub fn new(source: R, len: u64, page_size: Option<PageSize>) -> Result<Self, Errno> {
        let mut reader =
            Self { source, len, layout: None, offset: 0, records: 0, nonce: 0, record: Vec::new() };
        let Some(header) = reader.read_header(0)? else { return Ok(reader) };
        let sector = be32(&header, 20);
        let is_sector = sector.is_power_of_two() && (32..=65536).contains(&sector);
        if !is_sector || u64::from(sector) > len {
            // Such a header was never completely on disk, so nothing was written to the database after it.
            return Ok(reader);
        }
        let page_size = match be32(&header, 24) {
            0 => Ok(page_size.ok_or(Errno::EOPNOTSUPP)?),
            size => PageSize::new(size),
        };
        if let Ok(page_size) = page_size {
            let layout = Layout { original_pages: be32(&header, 16), sector, page_size };
            reader.record.resize(page_size.bytes() + RECORD_EXTRA, 0);
            reader.begin_segment(layout, &header);
            reader.layout = Some(layout);
        }
        Ok(reader)
    }

    /// Whether there is a transaction to roll back. A journal that was ended by zeroing its header has none, and one
    /// whose header never reached the disk belongs to a transaction that did not touch the database.
    pub fn is_hot(&self) -> bool {
        self.layout.is_some()
    }

    /// Length of the database before the transaction, in bytes. Zero if there is none.
    pub fn original_len(&self) -> u64 {
        self.layout.map_or(0, |layout| u64::from(layout.original_pages) * u64::from(layout.page_size.get()))
    }

    /// The name of the super-journal that the transaction shares with those of other databases. When that file is
    /// gone, the transaction was committed (SQLite file format 3, atomic commit 5).
    pub fn super_journal(&self) -> Result<Option<Vec<u8>>, Errno> {
        let Some(tail_at) = self.len.checked_sub(NAME_TAIL as u64) else { return Ok(None) };
        let mut tail = [0; NAME_TAIL];
        if self.source.read_at(tail_at, &mut tail)? < NAME_TAIL || tail[8..] != MAGIC {
            return Ok(None);
        }
        let (len, sum) = (be32(&tail, 0), be32(&tail, 4));
        let Some(name_at) = tail_at.checked_sub(u64::from(len)) else { return Ok(None) };
        if len == 0 || len > NAME_MAX {
            return Ok(None);
        }
        let mut name = vec![0; len as usize];
        if self.source.read_at(name_at, &mut name)? < name.len() {
            return Ok(None);
        }
        if name.first() == Some(&0) {
            // The name and its sum are zeros that a loss of power left, and zeros sum up to zero.
            return Ok(None);
        }
        // Whether characters are signed depends on the machine.
        let unsigned = name.iter().fold(0u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        let signed =
            name.iter().fold(0u32, |sum, byte| sum.wrapping_add_signed(i32::from(byte.cast_signed())));
        let is_named = (sum == unsigned || sum == signed) && self.may_be_named_at(name_at)?;
        Ok(is_named.then_some(name))
    }

    /// Whether the records leave the place for a name to this journal, and not to a longer one that was here before and
    /// whose end came back with a loss of power. SQLite itself does not look.
    fn may_be_named_at(&self, name_at: u64) -> Result<bool, Errno> {
        let Some(layout) = self.layout else { return Ok(true) };
        let sector = u64::from(layout.sector);
        let mut end = 0;
        loop {
            let header_at = u64::next_multiple_of(end, sector);
            let Some(header) = self.read_header(header_at)? else {
                // The number of the lock page stands before the name, where the records end or in the next sector.
                return Ok([end, header_at].iter().any(|end| end + 4 == name_at));
            };
            let records = be32(&header, 8);
            if records == UNCOUNTED {
                return Ok(true);
            }
            end = header_at
                + sector
                + u64::from(records) * (u64::from(layout.page_size.get()) + RECORD_EXTRA as u64);
        }
    }

    /// Reads the next page as it was before the transaction; `None` after the last. Pages that the database did not
    /// have before are left out.
    // Not an iterator: the page borrows from the reader.
    #[expect(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<(PageNumber, &[u8])>, Errno> {
        let Some(layout) = self.layout else { return Ok(None) };
        loop {
            if self.records == 0 && !self.next_segment(layout)? {
                return Ok(None);
            }
            let Some(page) = self.read_record(layout.page_size)? else {
                self.offset = self.len;
                self.records = 0;
                return Ok(None);
            };
            if page.get() <= layout.original_pages {
                return Ok(Some((page, &self.record[4..4 + layout.page_size.bytes()])));
            }
        }
    }

    /// Moves to the next segment that has records.
    fn next_segment(&mut self, layout: Layout) -> Result<bool, Errno> {
        while self.records == 0 {
            self.offset = self.offset.next_multiple_of(u64::from(layout.sector));
            if self.offset + u64::from(layout.sector) > self.len {
                return Ok(false);
            }
            let Some(header) = self.read_header(self.offset)? else { return Ok(false) };
            self.begin_segment(layout, &header);
        }
        Ok(true)
    }

    /// Reads the header at `offset`, unless there is none.
    fn read_header(&self, offset: u64) -> Result<Option<[u8; HEADER_LEN]>, Errno> {
        let mut bytes = [0; HEADER_LEN];
        let is_header = self.source.read_at(offset, &mut bytes)? == HEADER_LEN && bytes.starts_with(&MAGIC);
        Ok(is_header.then_some(bytes))
    }

    /// Moves behind a header at the offset.
    fn begin_segment(&mut self, layout: Layout, header: &[u8; HEADER_LEN]) {
        self.records = match be32(header, 8) {
            UNCOUNTED => {
                let fits = (self.len - u64::from(layout.sector)) / self.record.len() as u64;
                u32::try_from(fits).unwrap_or(u32::MAX)
            }
            counted => counted,
        };
        self.nonce = be32(header, 12);
        self.offset += u64::from(layout.sector);
    }

    /// Reads a record, unless it is not one.
    fn read_record(&mut self, page_size: PageSize) -> Result<Option<PageNumber>, Errno> {
        let end = self.offset + self.record.len() as u64;
        if end > self.len || self.source.read_at(self.offset, &mut self.record)? < self.record.len() {
            return Ok(None);
        }
        self.offset = end;
        self.records -= 1;
        let content = &self.record[4..4 + page_size.bytes()];
        let is_whole = be32(&self.record, 4 + page_size.bytes()) == page_checksum(self.nonce, content);
        // The lock page is in front of a super-journal's name.
        Ok(PageNumber::new(be32(&self.record, 0)).filter(|page| is_whole && *page != page_size.lock_page()))
    }
}

/// The checksum of a page in a segment with this nonce. It samples one byte in 200.
pub fn page_checksum(nonce: u32, content: &[u8]) -> u32 {
    let sampled = content.iter().rev().skip(199).step_by(200);
    // The first byte of the page is never looked at.
    let sampled = sampled.take(content.len().saturating_sub(1) / 200);
    sampled.fold(nonce, |sum, byte| sum.wrapping_add(u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A database before a transaction, in the middle of it, and its journal then, which has three segments.
    const BEFORE: &[u8] = include_bytes!("../../testdata/sqlite/rollback-before.db");
    const INTERRUPTED: &[u8] = include_bytes!("../../testdata/sqlite/rollback-interrupted.db");
    const JOURNAL: &[u8] = include_bytes!("../../testdata/sqlite/rollback-journal");
    /// The journal of a transaction over two databases, of which one has the name `/data/app.db`.
    const NAMED: &[u8] = include_bytes!("../../testdata/sqlite/super-journal-named");

    fn reader(journal: &[u8]) -> JournalReader<&[u8]> {
        JournalReader::new(journal, journal.len() as u64, None).unwrap()
    }

    fn pages(journal: &[u8]) -> Vec<u32> {
        let mut reader = reader(journal);
        let mut pages = Vec::new();
        while let Some((page, _)) = reader.next().unwrap() {
            pages.push(page.get());
        }
        pages
    }

    fn roll_back(journal: &[u8]) -> Vec<u8> {
        let mut database = INTERRUPTED.to_vec();
        let mut reader = reader(journal);
        while let Some((page, content)) = reader.next().unwrap() {
            let offset = (page.get() as usize - 1) * content.len();
            database[offset..offset + content.len()].copy_from_slice(content);
        }
        database.truncate(reader.original_len() as usize);
        database
    }

    fn changed(journal: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
        let mut journal = journal.to_vec();
        for (at, byte) in changes {
            journal[*at] = *byte;
        }
        journal
    }

    #[test]
    fn journal_that_sqlite_wrote_rolls_the_database_back() {
        assert_ne!(BEFORE[..], INTERRUPTED[..BEFORE.len()]);
        assert!(reader(JOURNAL).is_hot());
        assert_eq!(reader(JOURNAL).original_len(), BEFORE.len() as u64);
        assert_eq!(pages(JOURNAL).len(), 6, "two records in each of three segments");
        assert!(roll_back(JOURNAL) == BEFORE);
    }

    #[test]
    fn uncounted_records_go_to_the_end_of_the_file() {
        // One segment, as with synchronous=OFF.
        let one = changed(&JOURNAL[..2048], &[(8, 0xff), (9, 0xff), (10, 0xff), (11, 0xff)]);
        assert_eq!(pages(&one), pages(JOURNAL)[..2]);
    }

    #[test]
    fn segment_without_records_ends_the_journal_unless_a_header_follows_it_directly() {
        let none = changed(JOURNAL, &[(2048 + 11, 0)]);
        assert_eq!(pages(&none), pages(JOURNAL)[..2]);
        let none_then_all = [&changed(&JOURNAL[..512], &[(11, 0)]), JOURNAL].concat();
        assert_eq!(pages(&none_then_all), pages(JOURNAL));
    }

    #[test]
    fn reading_ends_at_the_first_record_that_is_damaged_or_cut_off() {
        let second_record = 512 + 520;
        // One byte in 200 is checked, from the end of the page.
        let sampled = second_record + 4 + 512 - 200;
        assert_eq!(pages(&changed(JOURNAL, &[(sampled, JOURNAL[sampled] ^ 1)])), pages(JOURNAL)[..1]);
        assert_eq!(pages(&JOURNAL[..second_record + 519]), pages(JOURNAL)[..1]);
        let zero =
            [(second_record, 0), (second_record + 1, 0), (second_record + 2, 0), (second_record + 3, 0)];
        assert_eq!(pages(&changed(JOURNAL, &zero)), pages(JOURNAL)[..1]);
        let lock_page = [(second_record + 1, 0x20), (second_record + 2, 0), (second_record + 3, 1)];
        assert_eq!(pages(&changed(JOURNAL, &lock_page)), pages(JOURNAL)[..1]);
        assert_eq!(pages(&changed(JOURNAL, &[(2048, 0)])), pages(JOURNAL)[..2]);
    }

    #[test]
    fn pages_that_the_database_did_not_have_are_left_out() {
        let shorter = changed(JOURNAL, &[(19, 1)]);
        assert_eq!(reader(&shorter).original_len(), 512);
        assert_eq!(pages(&shorter), [1]);
    }

    #[test]
    fn journal_without_a_header_has_nothing_to_roll_back() {
        for cold in [&[][..], &JOURNAL[..27], &JOURNAL[..511], &changed(JOURNAL, &[(0, 0)])] {
            assert!(!reader(cold).is_hot());
            assert_eq!(pages(cold), []);
        }
        // Sectors of 513 and 16 bytes, pages of 513.
        for wrong in [[(23, 1)].as_slice(), &[(22, 0), (23, 16)], &[(27, 1)]] {
            assert!(!reader(&changed(JOURNAL, wrong)).is_hot(), "{wrong:?}");
        }
    }

    #[test]
    fn journal_that_does_not_say_how_large_a_page_is_takes_that_of_the_database() {
        let old = changed(JOURNAL, &[(26, 0)]);
        let open = |page_size| JournalReader::new(&old[..], old.len() as u64, page_size);
        assert_eq!(open(None).err(), Some(Errno::EOPNOTSUPP));
        let mut reader = open(DatabaseHeader::decode(BEFORE).ok().map(|header| header.page_size)).unwrap();
        let mut found = Vec::new();
        while let Some((page, _)) = reader.next().unwrap() {
            found.push(page.get());
        }
        assert_eq!(found, pages(JOURNAL));
    }

    #[test]
    fn name_of_the_super_journal_stands_at_the_end() {
        let name = reader(NAMED).super_journal().unwrap();
        assert_eq!(name.as_deref(), Some(&b"/data/app.db-mj4B62A195E"[..]));
        assert_eq!(pages(NAMED), [2, 1], "the name is not taken for a record");
        assert_eq!(reader(JOURNAL).super_journal(), Ok(None));
        assert_eq!(reader(&[]).super_journal(), Ok(None));
    }

    #[test]
    fn damaged_name_of_a_super_journal_is_none() {
        let len = NAMED.len();
        for at in [len - 1, len - 9, len - 13, len - 20] {
            let damaged = changed(NAMED, &[(at, NAMED[at] ^ 1)]);
            assert_eq!(reader(&damaged).super_journal(), Ok(None), "byte {at}");
        }
        for long in [[(len - 16, 0xff)], [(len - 14, 0x20)]] {
            assert_eq!(reader(&changed(NAMED, &long)).super_journal(), Ok(None));
        }
    }

    #[test]
    fn name_and_sum_that_a_loss_of_power_left_as_zeros_are_no_name() {
        let (sum, name) = (NAMED.len() - 12, NAMED.len() - 16 - "/data/app.db-mj4B62A195E".len());
        let zeros: Vec<_> = (name..NAMED.len() - 16).chain(sum..sum + 4).map(|at| (at, 0)).collect();
        assert_eq!(reader(&changed(NAMED, &zeros)).super_journal(), Ok(None));
    }

    #[test]
    fn name_that_a_longer_journal_has_left_is_none() {
        let name = &NAMED[NAMED.len() - 16 - "/data/app.db-mj4B62A195E".len() - 4..];
        let mut longer = NAMED[..NAMED.len() - name.len()].to_vec();
        longer.resize(longer.len() + 512, 0);
        longer.extend_from_slice(name);
        assert_eq!(reader(&longer).super_journal(), Ok(None));
        // Without syncs SQLite does not count the records, so nothing can be said.
        longer[8..12].fill(0xff);
        assert!(reader(&longer).super_journal().unwrap().is_some());
    }

    #[test]
    fn name_of_a_super_journal_may_be_summed_with_either_kind_of_character() {
        let name = "/data/\u{e9}.db-mj4B62A195E".as_bytes();
        let unsigned: u32 = name.iter().map(|byte| u32::from(*byte)).sum();
        for sum in [unsigned, unsigned - 2 * 256] {
            let mut journal = name.to_vec();
            journal.extend_from_slice(&(name.len() as u32).to_be_bytes());
            journal.extend_from_slice(&sum.to_be_bytes());
            journal.extend_from_slice(&MAGIC);
            assert_eq!(reader(&journal).super_journal().unwrap().as_deref(), Some(name));
        }
    }

    #[test]
    fn error_of_the_source_is_passed_on() {
        struct Broken;
        impl ReadAt for Broken {
            fn read_at(&self, _: u64, _: &mut [u8]) -> Result<usize, Errno> {
                Err(Errno::EIO)
            }
        }
        assert_eq!(JournalReader::new(Broken, 1000, None).err(), Some(Errno::EIO));
    }

    #[test]
    fn checksum_samples_every_200th_byte_from_the_end_but_not_the_first() {
        let mut content = [0; 1024];
        for at in [824, 624, 424, 224, 24] {
            content[at] = 1;
        }
        assert_eq!(page_checksum(u32::MAX, &content), 4);
        assert_eq!(page_checksum(7, &[1; 200]), 7);
        assert_eq!(page_checksum(7, &[1; 201]), 8);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(
            header in prop::collection::vec(any::<u8>(), 20), shift in 5..17u32, size in 9..17u32,
            rest in prop::collection::vec(any::<u8>(), 0..3000),
        ) {
            let mut journal = MAGIC.to_vec();
            journal.extend_from_slice(&header[..12]);
            journal.extend_from_slice(&(1u32 << shift).to_be_bytes());
            journal.extend_from_slice(&(1u32 << size).to_be_bytes());
            journal.extend_from_slice(&rest);
            let count = pages(&journal).len();
            prop_assert!(count <= journal.len() / 520);
        }
    }
}
