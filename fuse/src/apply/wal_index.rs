use core::sync::atomic::{Ordering, fence};

use litefs_core::sqlite::wal_index::{
    self, ATTEMPTED_OFFSET, BACKFILL_OFFSET, BLOCK_BYTES, Header, MARK_NOT_USED, MARKS_OFFSET, SLOTS,
};
use litefs_core::{Errno, PageNumber};

use super::ApplyError;
use super::shm_map::ShmMap;

/// The wal-index: which frame of the WAL has the newest version of a page, and what is published to readers.
///
/// Only who holds SQLite's WRITE lock changes the header and the frames, and only who holds CHECKPOINT or all readers
/// off changes what is said of the checkpoint. Readers look at any time, so the order of stores is part of the format
/// (WAL-mode file format 2).
#[derive(Debug)]
pub(super) struct WalIndex {
    map: ShmMap,
}

impl WalIndex {
    pub(super) fn new(map: ShmMap) -> Self {
        Self { map }
    }

    /// The header, if one is completely written.
    pub(super) fn header(&self) -> Option<Header> {
        let first = self.header_copy(0);
        fence(Ordering::SeqCst);
        let second = self.header_copy(1);
        if first == second { Header::decode(&first) } else { None }
    }

    /// Shows `header` to readers.
    ///
    /// They read the first copy, then the second, and start over where the two differ.
    pub(super) fn publish(&self, header: &Header) {
        let bytes = header.encode();
        fence(Ordering::SeqCst);
        for copy in [1, 0] {
            let (words, _) = bytes.as_chunks::<4>();
            for (index, word) in words.iter().enumerate() {
                let offset = copy * wal_index::HEADER_LEN + index * 4;
                self.map.word(offset).store(native(*word), Ordering::Relaxed);
            }
            fence(Ordering::SeqCst);
        }
    }

    /// Frames that are in the database file.
    pub(super) fn backfilled(&self) -> u32 {
        self.map.word(BACKFILL_OFFSET).load(Ordering::Acquire)
    }

    /// Says that the frames up to `frame` are in the database file.
    pub(super) fn set_backfilled(&self, frame: u32) {
        self.map.word(BACKFILL_OFFSET).store(frame, Ordering::Release);
    }

    /// Says that the frames up to `frame` may be in the database file in part.
    pub(super) fn set_attempted(&self, frame: u32) {
        self.map.word(ATTEMPTED_OFFSET).store(frame, Ordering::Release);
    }

    /// The last frame that readers who hold mark `number`, 1 to 4, may look at.
    pub(super) fn mark(&self, number: u64) -> u32 {
        self.map.word(mark_offset(number)).load(Ordering::Acquire)
    }

    /// Moves mark `number`, whose lock the caller holds alone.
    pub(super) fn set_mark(&self, number: u64, frame: u32) {
        self.map.word(mark_offset(number)).store(frame, Ordering::Release);
    }

    /// What a checkpoint left behind does not count any more: no frame of the WAL is in the database file.
    pub(super) fn forget_checkpoint(&self, attempted: u32) {
        self.set_backfilled(0);
        self.set_attempted(attempted);
        self.set_mark(0, 0);
    }

    /// Makes room for `frame` and those before it; true when the file had to be grown.
    pub(super) fn reserve(&mut self, frame: u32) -> Result<bool, Errno> {
        self.map.grow(wal_index::block_of(frame) + 1)
    }

    /// The page in a frame.
    pub(super) fn page_of(&self, frame: u32) -> Option<PageNumber> {
        PageNumber::new(self.map.word(wal_index::page_offset(frame)).load(Ordering::Relaxed))
    }

    /// Adds the frame after the last one added. Readers do not see it until a header says so.
    pub(super) fn append(&self, frame: u32, page: PageNumber) -> Result<(), ApplyError> {
        let block = wal_index::block_of(frame);
        let number = frame - wal_index::first_frame(block) + 1;
        if number == 1 {
            self.clear_block(block);
        } else if self.page_of(frame).is_some() {
            self.clear_after(frame - 1);
        }
        let slots = wal_index::slots_offset(block);
        let first = wal_index::slot_of(page);
        let free = (0..SLOTS)
            .map(|step| slots + (first + step) % SLOTS * 2)
            .find(|offset| self.map.half_word(*offset).load(Ordering::Relaxed) == 0)
            .ok_or(ApplyError::WalIndex { block, frame })?;
        let number = u16::try_from(number).map_err(|_| ApplyError::WalIndex { block, frame })?;
        self.map.word(wal_index::page_offset(frame)).store(page.get(), Ordering::Relaxed);
        // A reader that finds the frame in its slot must find the page too.
        self.map.half_word(free).store(number, Ordering::Release);
        Ok(())
    }

    /// Rebuilds the index for frames with these pages, the first of which is frame 1, in room reserved before.
    ///
    /// Readers may be looking at frames that stay: a word that is right already is not touched.
    pub(super) fn rebuild(&self, pages: &[PageNumber]) {
        let mut rest = pages;
        for block in 0..self.map.blocks() {
            let (here, after) = rest.split_at(rest.len().min(wal_index::frames_in(block)));
            rest = after;
            self.rebuild_block(block, here);
        }
    }

    fn rebuild_block(&self, block: usize, pages: &[PageNumber]) {
        let mut slots = [0u16; SLOTS];
        for (number, page) in (1..).zip(pages) {
            let first = wal_index::slot_of(*page);
            // Twice as many slots as frames: there is always a free one.
            let free = (0..SLOTS).map(|step| (first + step) % SLOTS).find(|slot| slots[*slot] == 0);
            if let Some(slot) = free {
                slots[slot] = number;
            }
        }
        let first = wal_index::page_offset(wal_index::first_frame(block));
        for index in 0..wal_index::frames_in(block) {
            let page = pages.get(index).map_or(0, |page| page.get());
            let word = self.map.word(first + index * 4);
            if word.load(Ordering::Relaxed) != page {
                word.store(page, Ordering::Relaxed);
            }
        }
        for (slot, number) in slots.iter().enumerate() {
            let half_word = self.map.half_word(wal_index::slots_offset(block) + slot * 2);
            if half_word.load(Ordering::Relaxed) != *number {
                half_word.store(*number, Ordering::Release);
            }
        }
    }

    fn clear_block(&self, block: usize) {
        let start = wal_index::page_offset(wal_index::first_frame(block));
        for offset in (start..(block + 1) * BLOCK_BYTES).step_by(4) {
            self.map.word(offset).store(0, Ordering::Relaxed);
        }
    }

    /// Removes what a writer that gave up left after `last` in the block of that frame.
    fn clear_after(&self, last: u32) {
        let block = wal_index::block_of(last);
        let keep = last - wal_index::first_frame(block) + 1;
        for slot in 0..SLOTS {
            let half_word = self.map.half_word(wal_index::slots_offset(block) + slot * 2);
            if u32::from(half_word.load(Ordering::Relaxed)) > keep {
                half_word.store(0, Ordering::Relaxed);
            }
        }
        let start = wal_index::page_offset(last) + 4;
        for offset in (start..wal_index::slots_offset(block)).step_by(4) {
            self.map.word(offset).store(0, Ordering::Relaxed);
        }
    }

    fn header_copy(&self, copy: usize) -> [u8; wal_index::HEADER_LEN] {
        let mut bytes = [0; wal_index::HEADER_LEN];
        let (words, _) = bytes.as_chunks_mut::<4>();
        for (index, word) in words.iter_mut().enumerate() {
            let offset = copy * wal_index::HEADER_LEN + index * 4;
            *word = bytes_of(self.map.word(offset).load(Ordering::Relaxed));
        }
        bytes
    }
}

/// The mark that no reader holds on to.
pub(super) const NOT_USED: u32 = MARK_NOT_USED;

fn mark_offset(number: u64) -> usize {
    MARKS_OFFSET + number as usize * 4
}

/// The wal-index is in the byte order of the machine, which for this program is little-endian.
fn native(bytes: [u8; 4]) -> u32 {
    u32::from_le_bytes(bytes)
}

fn bytes_of(word: u32) -> [u8; 4] {
    word.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_writers_that_gave_up_do_not_fill_the_index() {
        let index = WalIndex::new(ShmMap::new(tempfile::tempfile().unwrap(), 1).unwrap());
        let page = |number| PageNumber::new(number).unwrap();
        index.append(1, page(1)).unwrap();
        for attempt in 1..=4 {
            for frame in 2..=wal_index::frames_in(0) as u32 {
                index.append(frame, page(attempt * 10_000 + frame)).unwrap();
            }
        }
        assert_eq!(index.page_of(1), Some(page(1)));
        assert_eq!(index.page_of(2), Some(page(40_002)));
    }

    #[test]
    fn header_that_is_half_written_is_not_taken() {
        let index = WalIndex::new(ShmMap::new(tempfile::tempfile().unwrap(), 1).unwrap());
        assert_eq!(index.header(), None);
        let header = Header { change: 7, max_frame: 3, ..Header::default() };
        index.publish(&header);
        assert_eq!(index.header(), Some(header));
        index.map.word(8).store(8, Ordering::Relaxed);
        assert_eq!(index.header(), None);
    }
}
