use alloc::vec::Vec;

use super::{DecodeError, Decoder, Header, Item, Trailer};
use crate::PageNumber;

/// How much of a file is fed to the decoder at once, which bounds what it copies.
const CHUNK_LEN: usize = 64 * 1024;

/// An LTX file in memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ltx {
    /// The header.
    pub header: Header,
    /// The pages, ascending.
    pub pages: Vec<(PageNumber, Vec<u8>)>,
    /// The trailer.
    pub trailer: Trailer,
}

/// Checks all of a file in memory and keeps no pages.
pub fn verify(bytes: &[u8]) -> Result<(Header, Trailer), DecodeError> {
    read(bytes, |_, _| {})
}

/// Checks all of a file in memory and takes it apart.
pub fn decode_all(bytes: &[u8]) -> Result<Ltx, DecodeError> {
    let mut pages = Vec::new();
    let (header, trailer) = read(bytes, |number, data| pages.push((number, data.to_vec())))?;
    Ok(Ltx { header, pages, trailer })
}

fn read(bytes: &[u8], mut on_page: impl FnMut(PageNumber, &[u8])) -> Result<(Header, Trailer), DecodeError> {
    let mut decoder = Decoder::new();
    for chunk in bytes.chunks(CHUNK_LEN) {
        decoder.feed(chunk);
        while let Some(item) = decoder.next()? {
            if let Item::Page { number, data } = item {
                on_page(number, data);
            }
        }
    }
    decoder.finish()
}
