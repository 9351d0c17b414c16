use core::mem;

use super::input::Input;
use super::lz4_frame::{FrameReader, Progress};
use super::page_sequence::PageSequence;
use super::{DecodeError, Fault, Header, Trailer};
use crate::bytes::{array, be32};
use crate::{Checksum, ChecksumHasher, PageNumber};

/// Reads an LTX file whose bytes arrive in pieces, and checks all that can be checked without the database.
///
/// It keeps what was fed and not yet read, one block of compressed content and one page. Pages are handed out before
/// the checksum of the file is known: only after [`Item::End`] may they be believed.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    input: Input,
    /// Content of the page block that was decompressed and not yet read.
    plain: Input,
    hasher: ChecksumHasher,
    /// What was found and not yet given out.
    found: Option<Found>,
}

/// A part of an LTX file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Item<'a> {
    /// The header. It comes first.
    Header(Header),
    /// A page. Pages ascend.
    Page {
        /// Its number.
        number: PageNumber,
        /// Its content, a page long.
        data: &'a [u8],
    },
    /// The trailer. It comes last, and all checksums were right.
    End(Trailer),
}

#[derive(Clone, Debug)]
enum State {
    Header,
    /// Between pages.
    Pages(Body),
    /// After the last page, inside the compressed page block.
    Compressed(Body),
    Trailer(Body),
    End(Header, Trailer),
    Failed(DecodeError),
}

/// What is known of the file between its header and its end.
#[derive(Clone, Debug)]
struct Body {
    header: Header,
    pages: PageSequence,
    /// Of a snapshot: the checksum of the pages so far.
    checksum: Checksum,
    decompressor: Option<FrameReader>,
}

/// Where the next item is.
#[derive(Debug)]
enum Found {
    Header(Header),
    /// At the start of the page block's unread content.
    Page(PageNumber, Header),
    End(Trailer),
}

impl Decoder {
    /// Before the first byte.
    pub fn new() -> Self {
        Self {
            state: State::Header,
            input: Input::default(),
            plain: Input::default(),
            hasher: ChecksumHasher::new(),
            found: None,
        }
    }

    /// Adds the bytes that follow those fed before.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.feed(bytes);
    }

    /// Reads the next item. `None` asks for more bytes, or says that the file is over when [`Item::End`] was read. An
    /// error stays.
    // Not an iterator: the item borrows from the decoder, and after `None` more may come.
    #[expect(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, DecodeError> {
        self.advance()?;
        Ok(match self.found.take() {
            None => None,
            Some(Found::Header(header)) => Some(Item::Header(header)),
            Some(Found::End(trailer)) => Some(Item::End(trailer)),
            Some(Found::Page(number, header)) => {
                let source = if header.compressed { &mut self.plain } else { &mut self.input };
                let page = source.take(4 + header.page_size.bytes());
                Some(Item::Page { number, data: &page[4..] })
            }
        })
    }

    /// Whether [`Decoder::next`] has an item to give.
    pub(super) fn advance(&mut self) -> Result<bool, DecodeError> {
        if self.found.is_none() {
            self.found = self.find().inspect_err(|error| self.state = State::Failed(*error))?;
        }
        Ok(self.found.is_some())
    }

    /// Says that no more bytes will come. Returns the header and the trailer, or an error if the file is not over.
    pub fn finish(&self) -> Result<(Header, Trailer), DecodeError> {
        match &self.state {
            State::End(header, trailer) if self.input.unread().is_empty() => Ok((*header, *trailer)),
            State::End(..) => Err(self.input.fault(Fault::AfterTrailer)),
            State::Failed(error) => Err(*error),
            _ => Err(self.input.end_fault(Fault::Truncated)),
        }
    }

    fn find(&mut self) -> Result<Option<Found>, DecodeError> {
        loop {
            // What stands here meanwhile is replaced on every way out, after an error by the caller.
            match mem::replace(&mut self.state, State::Header) {
                State::Header => {
                    let Some(header) = self.read_header()? else {
                        self.state = State::Header;
                        return Ok(None);
                    };
                    self.state = State::Pages(Body::new(header));
                    return Ok(Some(Found::Header(header)));
                }
                State::Pages(mut body) => match self.read_page(&mut body)? {
                    PageStep::Page(number) => {
                        let header = body.header;
                        self.state = State::Pages(body);
                        return Ok(Some(Found::Page(number, header)));
                    }
                    PageStep::NeedsMore => {
                        self.state = State::Pages(body);
                        return Ok(None);
                    }
                    PageStep::Ended if body.header.compressed => self.state = State::Compressed(body),
                    PageStep::Ended => self.state = State::Trailer(body),
                },
                State::Compressed(mut body) => {
                    if !self.plain.unread().is_empty() {
                        return Err(self.input.fault(Fault::AfterPages));
                    }
                    self.state = match self.decompress(&mut body)? {
                        Decompressed::Ended => State::Trailer(body),
                        Decompressed::More => State::Compressed(body),
                        Decompressed::NeedsMore => {
                            self.state = State::Compressed(body);
                            return Ok(None);
                        }
                    };
                }
                State::Trailer(body) => {
                    if self.input.unread().len() < Trailer::LEN {
                        self.state = State::Trailer(body);
                        return Ok(None);
                    }
                    let trailer = self.read_trailer(&body)?;
                    self.state = State::End(body.header, trailer);
                    return Ok(Some(Found::End(trailer)));
                }
                State::End(..) if !self.input.unread().is_empty() => {
                    return Err(self.input.fault(Fault::AfterTrailer));
                }
                ended @ State::End(..) => {
                    self.state = ended;
                    return Ok(None);
                }
                State::Failed(error) => return Err(error),
            }
        }
    }

    fn read_header(&mut self) -> Result<Option<Header>, DecodeError> {
        if self.input.unread().len() < Header::LEN {
            return Ok(None);
        }
        let header = Header::decode(self.input.unread()).map_err(|fault| self.input.fault(fault.into()))?;
        // The bytes as they stand count, reserved ones included.
        self.hasher.update(self.input.take(Header::LEN));
        Ok(Some(header))
    }

    /// Looks at the next page, which stays unread, or reads the end of the pages.
    fn read_page(&mut self, body: &mut Body) -> Result<PageStep, DecodeError> {
        let page_len = 4 + body.header.page_size.bytes();
        while body.header.compressed && self.plain.unread().len() < page_len {
            if self.plain.unread().get(..4).is_some_and(|number| number == [0; 4]) {
                break;
            }
            match self.decompress(body)? {
                Decompressed::More => {}
                Decompressed::NeedsMore => return Ok(PageStep::NeedsMore),
                // The content ends within a page.
                Decompressed::Ended => return Err(self.input.fault(Fault::EndedInPages)),
            }
        }
        let source = if body.header.compressed { &mut self.plain } else { &mut self.input };
        let unread = source.unread();
        if unread.len() < 4 {
            return Ok(PageStep::NeedsMore);
        }
        let Some(number) = PageNumber::new(be32(unread, 0)) else {
            self.hasher.update(source.take(4));
            body.pages.finish().map_err(|fault| self.input.fault(fault.into()))?;
            return Ok(PageStep::Ended);
        };
        if unread.len() < page_len {
            return Ok(PageStep::NeedsMore);
        }
        if let Err(fault) = body.pages.admit(number) {
            return Err(self.input.fault(fault.into()));
        }
        let page = &unread[..page_len];
        self.hasher.update(page);
        if body.header.is_snapshot() {
            body.checksum = body.checksum.toggle(Checksum::of_page(number, &page[4..]));
        }
        Ok(PageStep::Page(number))
    }

    /// Decompresses at most one more block.
    fn decompress(&mut self, body: &mut Body) -> Result<Decompressed, DecodeError> {
        let Some(reader) = &mut body.decompressor else { return Ok(Decompressed::Ended) };
        let step = reader.step(self.input.unread(), self.plain.grow());
        match step.map_err(|fault| self.input.fault(fault.into()))? {
            Progress::NeedsMore => Ok(Decompressed::NeedsMore),
            Progress::Read(len) => {
                self.input.take(len);
                Ok(Decompressed::More)
            }
            Progress::Ended(len) => {
                self.input.take(len);
                Ok(Decompressed::Ended)
            }
        }
    }

    fn read_trailer(&mut self, body: &Body) -> Result<Trailer, DecodeError> {
        let bytes = array(self.input.unread(), 0);
        let trailer = Trailer::decode(&bytes);
        Trailer::check_post_apply(trailer.post_apply, body.header.commit)
            .map_err(|fault| self.input.fault(fault.into()))?;
        self.hasher.update(&bytes[..8]);
        let computed = self.hasher.finish();
        if trailer.file_checksum != computed {
            let found = trailer.file_checksum;
            return Err(self.input.fault(Fault::FileChecksum { found, computed }));
        }
        if body.header.is_snapshot() && trailer.post_apply != body.checksum {
            let found = trailer.post_apply;
            return Err(self.input.fault(Fault::SnapshotChecksum { found, computed: body.checksum }));
        }
        self.input.take(Trailer::LEN);
        if self.input.unread().is_empty() { Ok(trailer) } else { Err(self.input.fault(Fault::AfterTrailer)) }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Body {
    fn new(header: Header) -> Self {
        Self {
            header,
            pages: PageSequence::new(&header),
            checksum: Checksum::EMPTY,
            decompressor: header.compressed.then(FrameReader::new),
        }
    }
}

enum PageStep {
    Page(PageNumber),
    NeedsMore,
    Ended,
}

enum Decompressed {
    More,
    NeedsMore,
    Ended,
}
