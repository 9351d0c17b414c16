use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::Scratch;
use crate::drive::Preserve;
use crate::read_at::read_exact;
use crate::{Errno, PageNumber, PageSize};

/// Pages that changed before they were read.
///
/// One thread reads, and whoever has the driver keeps. Neither ever waits for the other.
#[derive(Debug)]
pub(super) struct KeptPages<S> {
    /// Each page at the place it has in a database file.
    scratch: S,
    page_size: PageSize,
    /// The last page of the image.
    page_count: u32,
    /// The last page that was read.
    read: AtomicU32,
    /// Which pages are in the scratch file, a bit for each.
    kept: Vec<AtomicU32>,
    /// A page could not be kept.
    failed: AtomicBool,
}

impl<S: Scratch> KeptPages<S> {
    /// Nothing kept yet. `scratch` is empty.
    pub(super) fn new(scratch: S, page_count: u32, page_size: PageSize) -> Self {
        let words = page_count.div_ceil(u32::BITS) as usize;
        Self {
            scratch,
            page_size,
            page_count,
            read: AtomicU32::new(0),
            kept: core::iter::repeat_with(AtomicU32::default).take(words).collect(),
            failed: AtomicBool::new(false),
        }
    }

    /// Reads a page that was kept; false, and nothing has changed, if it was not.
    pub(super) fn load(&self, page: PageNumber, content: &mut [u8]) -> Result<bool, Errno> {
        let is_kept = self.is_kept(page);
        if is_kept {
            read_exact(&self.scratch, self.page_size.offset_of(page), content)?;
        }
        Ok(is_kept)
    }

    /// This page was read, and those before it: they may change.
    pub(super) fn done(&self, page: PageNumber) {
        self.read.store(page.get(), Ordering::SeqCst);
    }

    fn is_kept(&self, page: PageNumber) -> bool {
        let (word, bit) = self.place(page);
        word.is_some_and(|word| word.load(Ordering::SeqCst) & bit != 0)
    }

    /// The word with the bit of a page, and the bit.
    fn place(&self, page: PageNumber) -> (Option<&AtomicU32>, u32) {
        let index = page.get() - 1;
        (self.kept.get((index / u32::BITS) as usize), 1 << (index % u32::BITS))
    }
}

impl<S: Scratch> Preserve for KeptPages<S> {
    fn wants(&self, page: PageNumber) -> bool {
        page.get() > self.read.load(Ordering::SeqCst)
            && page.get() <= self.page_count
            && !self.failed.load(Ordering::SeqCst)
            && !self.is_kept(page)
    }

    fn keep(&self, page: PageNumber, content: &[u8]) {
        let (Some(word), bit) = self.place(page) else { return };
        // A snapshot that fails is asked for again; the writer must not suffer for it.
        match self.scratch.write_at(self.page_size.offset_of(page), content) {
            Ok(()) => drop(word.fetch_or(bit, Ordering::SeqCst)),
            Err(_) => self.failed.store(true, Ordering::SeqCst),
        }
    }
}
