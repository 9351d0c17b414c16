use alloc::vec::Vec;

use super::JournalMode;
use crate::ltx::{DecodeError, Decoder, Header, Item};
use crate::sqlite::header::DatabaseHeader;
use crate::{Checksum, PageNumber, Position};

/// What is known of a received LTX file once all of it has been verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// Its header.
    pub header: Header,
    /// The checksum of the database after it.
    pub post_apply: Checksum,
    /// The checksum of each page in it, ascending by page.
    pub sums: Vec<(PageNumber, Checksum)>,
    /// How the database keeps transactions undoable, if the file holds page 1.
    pub journal_mode: Option<JournalMode>,
}

impl Received {
    /// Where the database is once this is applied.
    pub fn position(&self) -> Position {
        Position { txid: self.header.max_txid, checksum: self.post_apply }
    }
}

/// Verifies an LTX file whose bytes pass by, and takes down what a database has to know of it.
#[derive(Debug, Default)]
pub struct Inspector {
    decoder: Decoder,
    sums: Vec<(PageNumber, Checksum)>,
    journal_mode: Option<JournalMode>,
}

impl Inspector {
    /// Verifies the bytes that follow those before.
    ///
    /// # Errors
    /// Where the file is damaged, and how.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.decoder.feed(bytes);
        while let Some(item) = self.decoder.next()? {
            let Item::Page { number, data } = item else { continue };
            self.sums.push((number, Checksum::of_page(number, data)));
            if number == PageNumber::FIRST {
                let header = DatabaseHeader::decode(data).ok();
                self.journal_mode = header.map(|header| JournalMode::of(&header));
            }
        }
        Ok(())
    }

    /// The file is over.
    ///
    /// # Errors
    /// It is not.
    pub fn finish(self) -> Result<Received, DecodeError> {
        let (header, trailer) = self.decoder.finish()?;
        let Self { sums, journal_mode, .. } = self;
        Ok(Received { header, post_apply: trailer.post_apply, sums, journal_mode })
    }
}
