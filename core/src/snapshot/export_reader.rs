use alloc::vec;
use alloc::vec::Vec;

use super::{Image, Scratch, SnapshotError};
use crate::{PageNumber, Position, ReadAt};

/// A snapshot as a database file.
#[derive(Debug)]
pub struct ExportReader<F, S> {
    image: Image<F, S>,
    next: u32,
    page: Vec<u8>,
    /// Bytes of the page that were read.
    taken: usize,
}

impl<F: ReadAt, S: Scratch> ExportReader<F, S> {
    /// Of an image.
    pub fn new(image: Image<F, S>) -> Self {
        let page = vec![0; image.page_size().bytes()];
        let taken = page.len();
        Self { image, next: 1, page, taken }
    }

    /// The position of the image.
    pub fn position(&self) -> Position {
        self.image.position()
    }

    /// Bytes of the database file.
    pub fn len(&self) -> u64 {
        u64::from(self.image.page_size().get()) * u64::from(self.image.page_count())
    }

    /// Whether there is nothing to export.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads some of the bytes that follow; none at the end of the file.
    ///
    /// # Errors
    /// See [`SnapshotError`]. What was read so far is worth nothing.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, SnapshotError> {
        if self.taken == self.page.len() {
            if self.next > self.image.page_count() {
                return Ok(0);
            }
            let lock_page = self.image.page_size().lock_page();
            match PageNumber::new(self.next).filter(|page| *page != lock_page) {
                Some(page) => self.image.read(page, &mut self.page)?,
                None => self.page.fill(0),
            }
            self.next += 1;
            self.taken = 0;
        }
        let rest = &self.page[self.taken..];
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        self.taken += len;
        Ok(len)
    }
}
