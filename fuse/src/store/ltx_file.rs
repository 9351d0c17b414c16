use std::io;

use litefs_core::apply::{Pages, PagesError};
use litefs_core::database::{Inspector, Received};
use litefs_core::ltx::{Item, Reader};
use litefs_core::{PageNumber, ReadAt};

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// Reads and verifies an LTX file of `len` bytes.
pub(super) fn inspect(file: &dyn ReadAt, len: u64) -> io::Result<Received> {
    let mut inspector = Inspector::default();
    let mut chunk = vec![0; CHUNK];
    let mut offset = 0;
    while offset < len {
        let want = CHUNK.min(usize::try_from(len - offset).unwrap_or(CHUNK));
        let read = file
            .read_at(offset, &mut chunk[..want])
            .map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
        if read == 0 {
            break;
        }
        inspector.feed(&chunk[..read]).map_err(io::Error::other)?;
        offset += read as u64;
    }
    inspector.finish().map_err(io::Error::other)
}

/// The pages of an LTX file, one at a time.
pub(super) struct LtxPages<'a> {
    reader: Reader<&'a dyn ReadAt>,
    page: Vec<u8>,
}

impl<'a> LtxPages<'a> {
    pub(super) fn new(file: &'a dyn ReadAt, len: u64) -> Self {
        Self { reader: Reader::new(file, 0..len), page: Vec::new() }
    }
}

impl Pages for LtxPages<'_> {
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
