use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

use super::wal_index_block::Block;
use super::{ApplyError, IndexBytes};
use crate::sqlite::wal_index::{
    self, ATTEMPTED_OFFSET, BACKFILL_OFFSET, HEADER_LEN, Header, MARK_NOT_USED, MARKS_OFFSET,
};
use crate::{Errno, File as Kind, PageNumber};

/// The wal-index: which frame of the WAL has the newest version of a page, and what is published to readers.
///
/// Only who holds SQLite's WRITE lock changes the header and the frames, and only who holds CHECKPOINT or all readers
/// off changes what is said of the checkpoint. Readers look at any time, so the order of stores is part of the format
/// (WAL-mode file format 2).
#[derive(Debug)]
pub(super) struct WalIndex<I> {
    bytes: I,
    /// The block that the last frame went to, as it is in the file.
    last: Option<Block>,
}

impl<I: IndexBytes> WalIndex<I> {
    pub(super) fn new(bytes: I) -> Self {
        Self { bytes, last: None }
    }

    /// The header, if one is completely written.
    pub(super) fn header(&self) -> Result<Option<Header>, ApplyError> {
        let mut copies = [[0; HEADER_LEN]; 2];
        for (number, copy) in copies.iter_mut().enumerate() {
            self.bytes.read(number * HEADER_LEN, copy).map_err(reading())?;
            fence(Ordering::SeqCst);
        }
        let [first, second] = copies;
        Ok(if first == second { Header::decode(&first) } else { None })
    }

    /// Shows `header` to readers.
    ///
    /// They read the first copy, then the second, and start over where the two differ.
    pub(super) fn publish(&self, header: &Header) -> Result<(), ApplyError> {
        let copy = header.encode();
        for number in [1, 0] {
            fence(Ordering::SeqCst);
            self.bytes.write(number * HEADER_LEN, &copy).map_err(writing())?;
        }
        fence(Ordering::SeqCst);
        Ok(())
    }

    /// Frames that are in the database file.
    pub(super) fn backfilled(&self) -> Result<u32, ApplyError> {
        self.load(BACKFILL_OFFSET)
    }

    /// Says that the frames up to `frame` are in the database file.
    pub(super) fn set_backfilled(&self, frame: u32) -> Result<(), ApplyError> {
        self.store(BACKFILL_OFFSET, frame)
    }

    /// Says that the frames up to `frame` may be in the database file in part.
    pub(super) fn set_attempted(&self, frame: u32) -> Result<(), ApplyError> {
        self.store(ATTEMPTED_OFFSET, frame)
    }

    /// The last frame that readers who hold mark `number`, 1 to 4, may look at.
    pub(super) fn mark(&self, number: u64) -> Result<u32, ApplyError> {
        self.load(mark_offset(number))
    }

    /// Moves mark `number`, whose lock the caller holds alone.
    pub(super) fn set_mark(&self, number: u64, frame: u32) -> Result<(), ApplyError> {
        self.store(mark_offset(number), frame)
    }

    /// What a checkpoint left behind does not count any more: no frame of the WAL is in the database file.
    pub(super) fn forget_checkpoint(&self, attempted: u32) -> Result<(), ApplyError> {
        self.set_backfilled(0)?;
        self.set_attempted(attempted)?;
        self.set_mark(0, 0)
    }

    /// Makes room for `frame` and those before it; true when the file had to be grown.
    pub(super) fn reserve(&mut self, frame: u32) -> Result<bool, ApplyError> {
        let blocks = wal_index::block_of(frame) + 1;
        self.bytes.grow(blocks).map_err(ApplyError::io("grow", Kind::Shm))
    }

    /// The page in a frame.
    pub(super) fn page_of(&self, frame: u32) -> Result<Option<PageNumber>, ApplyError> {
        self.load(wal_index::page_offset(frame)).map(PageNumber::new)
    }

    /// Adds the pages of frames from `first` on, which comes after the last one added, in room reserved before.
    /// Readers do not see them until a header says so.
    pub(super) fn append(&mut self, first: u32, pages: &[PageNumber]) -> Result<(), ApplyError> {
        let mut first = first;
        let mut rest = pages;
        while !rest.is_empty() {
            let block = wal_index::block_of(first);
            let index = (first - wal_index::first_frame(block)) as usize;
            let (here, after) = rest.split_at(rest.len().min(wal_index::frames_in(block) - index));
            let mut last = match self.last.take().filter(|last| last.number() == block) {
                Some(last) => last,
                None => Block::read(&self.bytes, block).map_err(reading())?,
            };
            self.append_to(&mut last, index, here)?;
            self.last = Some(last);
            first += here.len() as u32;
            rest = after;
        }
        Ok(())
    }

    /// Adds pages to a block from the frame at `index` on.
    fn append_to(&self, block: &mut Block, index: usize, pages: &[PageNumber]) -> Result<(), ApplyError> {
        if index == 0 || block.has(index) {
            block.truncate(index);
            block.write(&self.bytes).map_err(writing())?;
        }
        let mut slots = Vec::with_capacity(pages.len());
        for (index, page) in (index..).zip(pages) {
            slots.push(block.add(index, *page).ok_or(ApplyError::WalIndex {
                block: block.number(),
                frame: wal_index::first_frame(block.number()) + index as u32,
            })?);
        }
        let (Some(first), Some(last)) = (slots.iter().min(), slots.iter().max()) else { return Ok(()) };
        block.write_part(&self.bytes, index..index + pages.len(), *first..last + 1).map_err(writing())
    }

    /// Rebuilds the index for frames with these pages, the first of which is frame 1, in room reserved before.
    ///
    /// Readers may be looking at frames that stay.
    pub(super) fn rebuild(&mut self, pages: &[PageNumber]) -> Result<(), ApplyError> {
        self.last = None;
        let mut rest = pages;
        for number in 0..self.bytes.blocks() {
            let (here, after) = rest.split_at(rest.len().min(wal_index::frames_in(number)));
            rest = after;
            let mut block = Block::empty(number);
            for (index, page) in here.iter().enumerate() {
                // Twice as many slots as frames: there is always a free one.
                block.add(index, *page);
            }
            block.write(&self.bytes).map_err(writing())?;
        }
        Ok(())
    }

    fn load(&self, offset: usize) -> Result<u32, ApplyError> {
        let mut word = [0; 4];
        self.bytes.read(offset, &mut word).map_err(reading())?;
        Ok(u32::from_le_bytes(word))
    }

    fn store(&self, offset: usize, word: u32) -> Result<(), ApplyError> {
        self.bytes.write(offset, &word.to_le_bytes()).map_err(writing())
    }
}

/// The mark that no reader holds on to.
pub(super) const NOT_USED: u32 = MARK_NOT_USED;

fn mark_offset(number: u64) -> usize {
    MARKS_OFFSET + number as usize * 4
}

fn reading() -> impl FnOnce(Errno) -> ApplyError {
    ApplyError::io("read", Kind::Shm)
}

fn writing() -> impl FnOnce(Errno) -> ApplyError {
    ApplyError::io("write", Kind::Shm)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::tests::MemoryIndex;
    use super::*;

    fn page(number: u32) -> PageNumber {
        PageNumber::new(number).unwrap()
    }

    fn index() -> WalIndex<MemoryIndex> {
        let mut bytes = MemoryIndex::default();
        bytes.grow(1).unwrap();
        WalIndex::new(bytes)
    }

    #[test]
    fn frames_of_writers_that_gave_up_do_not_fill_the_index() {
        let mut index = index();
        index.append(1, &[page(1)]).unwrap();
        for attempt in 1..=4 {
            let pages: Vec<_> =
                (2..=wal_index::frames_in(0) as u32).map(|frame| page(attempt * 10_000 + frame)).collect();
            index.append(2, &pages).unwrap();
        }
        assert_eq!(index.page_of(1).unwrap(), Some(page(1)));
        assert_eq!(index.page_of(2).unwrap(), Some(page(40_002)));
    }

    #[test]
    fn appended_frames_are_found_as_rebuilt_ones_are() {
        let pages: Vec<_> = (0..10_000).map(|frame| page(frame * frame % 7001 + 1)).collect();
        let (mut appended, mut rebuilt) = (index(), index());
        for index in [&mut appended, &mut rebuilt] {
            assert!(index.reserve(10_000).unwrap());
        }
        let mut first = 1;
        for pages in pages.chunks(37) {
            appended.append(first, pages).unwrap();
            first += pages.len() as u32;
        }
        rebuilt.rebuild(&pages).unwrap();
        let bytes = |index: &WalIndex<MemoryIndex>| {
            let mut bytes = vec![0; index.bytes.blocks() * wal_index::BLOCK_BYTES];
            index.bytes.read(0, &mut bytes).unwrap();
            bytes
        };
        assert!(bytes(&appended) == bytes(&rebuilt));
    }

    #[test]
    fn header_that_is_half_written_is_not_taken() {
        let index = index();
        assert_eq!(index.header().unwrap(), None);
        let header = Header { change: 7, max_frame: 3, ..Header::default() };
        index.publish(&header).unwrap();
        assert_eq!(index.header().unwrap(), Some(header));
        index.store(8, 8).unwrap();
        assert_eq!(index.header().unwrap(), None);
    }
}
