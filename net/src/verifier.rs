use litefs_core::ltx::{DecodeError, Decoder, Header, Item, Trailer};

/// Checks an LTX file whose bytes pass by, without keeping them.
#[derive(Debug, Default)]
pub(crate) struct Verifier {
    decoder: Decoder,
    header: Option<Header>,
}

impl Verifier {
    /// Checks the bytes that follow those checked before.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.decoder.feed(bytes);
        while let Some(item) = self.decoder.next()? {
            if let Item::Header(header) = item {
                self.header = Some(header);
            }
        }
        Ok(())
    }

    /// The header of the file, once it was passed.
    pub(crate) fn header(&self) -> Option<Header> {
        self.header
    }

    /// The file is over. An error if it is too short.
    pub(crate) fn finish(&self) -> Result<(Header, Trailer), DecodeError> {
        self.decoder.finish()
    }
}
