use std::io;

use litefs_core::database::{JournalMode, Received};
use litefs_core::ltx::{Decoder, Header, Item, Trailer};
use litefs_core::sqlite::header::DatabaseHeader;
use litefs_core::{Checksum, Errno, PageNumber, ReadAt};

use crate::apply::{Pages, PagesError};

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// What one reading of an LTX file tells.
#[derive(Debug)]
pub(super) struct LtxFile {
    pub(super) received: Received,
}

impl LtxFile {
    /// Reads and verifies the LTX file.
    pub(super) fn read(file: &dyn ReadAt, len: u64) -> io::Result<Self> {
        let mut pages = LtxPages::new(file, len);
        let mut sums = Vec::new();
        let mut journal_mode = None;
        while let Some((number, content)) = pages.next_page().map_err(io::Error::other)? {
            sums.push((number, Checksum::of_page(number, content)));
            if number == PageNumber::FIRST {
                let header = DatabaseHeader::decode(content).ok();
                journal_mode = header
                    .map(|header| if header.is_wal() { JournalMode::Wal } else { JournalMode::Rollback });
            }
        }
        let (Some(header), Some(trailer)) = (pages.header, pages.trailer) else {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the LTX file ends early"));
        };
        let received = Received { header, post_apply: trailer.post_apply, sums, journal_mode };
        Ok(Self { received })
    }
}

/// The pages of an LTX file, one at a time.
pub(super) struct LtxPages<'a> {
    file: &'a dyn ReadAt,
    len: u64,
    offset: u64,
    chunk: Vec<u8>,
    page: Vec<u8>,
    decoder: Decoder,
    header: Option<Header>,
    trailer: Option<Trailer>,
}

impl<'a> LtxPages<'a> {
    pub(super) fn new(file: &'a dyn ReadAt, len: u64) -> Self {
        Self {
            file,
            len,
            offset: 0,
            chunk: vec![0; CHUNK],
            page: Vec::new(),
            decoder: Decoder::new(),
            header: None,
            trailer: None,
        }
    }
}

impl Pages for LtxPages<'_> {
    fn next_page(&mut self) -> Result<Option<(PageNumber, &[u8])>, PagesError> {
        loop {
            let found = match self.decoder.next()? {
                Some(Item::Header(header)) => {
                    self.header = Some(header);
                    continue;
                }
                Some(Item::Page { number, data }) => {
                    self.page.clear();
                    self.page.extend_from_slice(data);
                    Some(number)
                }
                Some(Item::End(trailer)) => {
                    self.trailer = Some(trailer);
                    continue;
                }
                None => None,
            };
            if let Some(number) = found {
                return Ok(Some((number, &self.page)));
            }
            let want = CHUNK.min(usize::try_from(self.len - self.offset).unwrap_or(CHUNK));
            if want == 0 {
                self.decoder.finish()?;
                return Ok(None);
            }
            let read = self.file.read_at(self.offset, &mut self.chunk[..want])?;
            if read == 0 {
                return Err(Errno::EIO.into());
            }
            self.decoder.feed(&self.chunk[..read]);
            self.offset += read as u64;
        }
    }
}
