use litefs_core::ltx::{DecodeError, Decoder, Header, Item, Trailer};

/// Checks an LTX file whose bytes pass by, without keeping them.
#[derive(Debug, Default)]
pub(crate) struct Verifier {
    decoder: Decoder,
    header: Option<Header>,
    pages: u64,
    trailer: Option<Trailer>,
}

/// What is known of an LTX file that was checked to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Verified {
    pub(crate) header: Header,
    pub(crate) pages: u64,
    pub(crate) trailer: Trailer,
}

impl Verifier {
    /// Checks the bytes that follow those checked before.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.decoder.feed(bytes);
        while let Some(item) = self.decoder.next()? {
            match item {
                Item::Header(header) => self.header = Some(header),
                Item::Page { .. } => self.pages += 1,
                Item::End(trailer) => self.trailer = Some(trailer),
            }
        }
        Ok(())
    }

    /// The header of the file, once it was passed.
    pub(crate) fn header(&self) -> Option<Header> {
        self.header
    }

    /// The file is over. `None` if it is too short.
    pub(crate) fn finish(&self) -> Result<Option<Verified>, DecodeError> {
        self.decoder.finish()?;
        let parts = self.header.zip(self.trailer);
        Ok(parts.map(|(header, trailer)| Verified { header, pages: self.pages, trailer }))
    }
}
