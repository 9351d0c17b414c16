use alloc::vec::Vec;

use super::{Pages, PagesError};
use crate::ltx::{Item, Reader};
use crate::{PageNumber, ReadAt};

/// The pages of an LTX file, one at a time.
#[derive(Debug)]
pub struct LtxPages<R> {
    reader: Reader<R>,
    page: Vec<u8>,
}

impl<R: ReadAt> LtxPages<R> {
    /// Of an LTX file of `len` bytes.
    pub fn new(file: R, len: u64) -> Self {
        Self { reader: Reader::new(file, 0..len), page: Vec::new() }
    }
}

impl<R: ReadAt> Pages for LtxPages<R> {
    fn next_page(&mut self) -> Result<Option<(PageNumber, &[u8])>, PagesError> {
        while let Some(item) = self.reader.next()? {
            if let Item::Page { number, data } = item {
                self.page.clear();
                self.page.extend_from_slice(data);
                return Ok(Some((number, &self.page)));
            }
        }
        Ok(None)
    }
}
