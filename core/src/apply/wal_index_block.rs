use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::IndexBytes;
use crate::sqlite::wal_index::{self, SLOTS};
use crate::{Errno, PageNumber};

/// The frames and the hash table of one block of a wal-index, taken into memory.
#[derive(Debug)]
pub(super) struct Block {
    number: usize,
    /// The page of each frame, zero where there is none.
    pages: Vec<u32>,
    /// The place of a frame in the block from 1, zero where there is none.
    slots: Vec<u16>,
}

impl Block {
    pub(super) fn empty(number: usize) -> Self {
        Self { number, pages: vec![0; wal_index::frames_in(number)], slots: vec![0; SLOTS] }
    }

    pub(super) fn read(bytes: &impl IndexBytes, number: usize) -> Result<Self, Errno> {
        let mut pages = vec![0; wal_index::frames_in(number) * 4];
        bytes.read(wal_index::page_offset(wal_index::first_frame(number)), &mut pages)?;
        let mut slots = vec![0; SLOTS * 2];
        bytes.read(wal_index::slots_offset(number), &mut slots)?;
        Ok(Self {
            number,
            pages: pages.as_chunks().0.iter().map(|page| u32::from_le_bytes(*page)).collect(),
            slots: slots.as_chunks().0.iter().map(|slot| u16::from_le_bytes(*slot)).collect(),
        })
    }

    /// From 0 in the file.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Adds a frame, at `index` from 0 in the block, and answers with its slot; `None` when the hash table is full.
    pub(super) fn add(&mut self, index: usize, page: PageNumber) -> Option<usize> {
        let number = u16::try_from(index + 1).ok()?;
        let first = wal_index::slot_of(page);
        let free = (0..SLOTS).map(|step| (first + step) % SLOTS).find(|slot| self.slots[*slot] == 0)?;
        *self.pages.get_mut(index)? = page.get();
        self.slots[free] = number;
        Some(free)
    }

    /// Whether there is a frame at `index`.
    pub(super) fn has(&self, index: usize) -> bool {
        self.pages.get(index).is_some_and(|page| *page != 0)
    }

    /// Removes the frames from the one at `index` on.
    pub(super) fn truncate(&mut self, index: usize) {
        self.pages[index..].fill(0);
        for slot in &mut self.slots {
            if usize::from(*slot) > index {
                *slot = 0;
            }
        }
    }

    /// Writes the block to the file.
    pub(super) fn write(&self, bytes: &impl IndexBytes) -> Result<(), Errno> {
        self.write_part(bytes, 0..self.pages.len(), 0..SLOTS)
    }

    /// Writes some of the frames and of the slots to the file. A reader that finds a frame in its slot must find its
    /// page too, so the slots come last.
    pub(super) fn write_part(
        &self,
        bytes: &impl IndexBytes,
        frames: Range<usize>,
        slots: Range<usize>,
    ) -> Result<(), Errno> {
        let start = wal_index::page_offset(wal_index::first_frame(self.number)) + frames.start * 4;
        let pages: Vec<u8> = self.pages[frames].iter().flat_map(|page| page.to_le_bytes()).collect();
        bytes.write(start, &pages)?;
        let start = wal_index::slots_offset(self.number) + slots.start * 2;
        let slots: Vec<u8> = self.slots[slots].iter().flat_map(|slot| slot.to_le_bytes()).collect();
        bytes.write(start, &slots)
    }
}
