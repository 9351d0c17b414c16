use alloc::vec::Vec;

use super::lz4_frame::FrameWriter;
use super::page_sequence::PageSequence;
use super::{Header, HeaderError, PageSequenceError, PostApplyError, Trailer};
use crate::{Checksum, ChecksumHasher, PageNumber};

/// Writes an LTX file into memory.
///
/// What was written so far can be taken away at any time through [`Encoder::output`]. The buffers are kept from file
/// to file by [`Encoder::restart`], since a commit usually writes one to three pages.
#[derive(Debug)]
pub struct Encoder {
    header: Header,
    pages: PageSequence,
    hasher: ChecksumHasher,
    compressor: Option<FrameWriter>,
    output: Vec<u8>,
    is_finished: bool,
}

impl Encoder {
    /// Begins a file.
    pub fn new(header: Header) -> Result<Self, EncodeError> {
        header.validate()?;
        let mut encoder = Self {
            header,
            pages: PageSequence::new(&header),
            hasher: ChecksumHasher::new(),
            compressor: None,
            output: Vec::new(),
            is_finished: false,
        };
        encoder.begin();
        Ok(encoder)
    }

    /// Begins another file, whatever became of the last one. Output that was not taken is forgotten. After an error
    /// the encoder still has the old file.
    pub fn restart(&mut self, header: Header) -> Result<(), EncodeError> {
        header.validate()?;
        self.header = header;
        self.pages = PageSequence::new(&header);
        self.hasher = ChecksumHasher::new();
        self.output.clear();
        self.is_finished = false;
        self.begin();
        Ok(())
    }

    fn begin(&mut self) {
        let encoded = self.header.encode();
        self.hasher.update(&encoded);
        self.output.extend_from_slice(&encoded);
        if self.header.compressed {
            self.compressor.get_or_insert_with(FrameWriter::new).begin(&mut self.output);
        }
    }

    /// Adds a page. Pages ascend; a snapshot has all of them except the lock page. After an error the file is as
    /// before.
    pub fn page(&mut self, number: PageNumber, content: &[u8]) -> Result<(), EncodeError> {
        if self.is_finished {
            return Err(EncodeError::Finished);
        }
        let expected = self.header.page_size.bytes();
        if content.len() != expected {
            return Err(EncodeError::PageLength { page: number, found: content.len(), expected });
        }
        self.pages.admit(number)?;
        self.write(&number.get().to_be_bytes());
        self.write(content);
        Ok(())
    }

    /// Ends the file. `post_apply` is the checksum of the database after it, [`Checksum::EMPTY`] for a deletion. After
    /// an error the file is as before.
    pub fn finish(&mut self, post_apply: Checksum) -> Result<Trailer, EncodeError> {
        if self.is_finished {
            return Err(EncodeError::Finished);
        }
        self.pages.finish()?;
        Trailer::check_post_apply(post_apply, self.header.commit)?;
        self.is_finished = true;
        self.write(&[0; 4]);
        if let Some(compressor) = self.compressor.as_mut().filter(|_| self.header.compressed) {
            compressor.finish(&mut self.output);
        }
        self.hasher.update(&post_apply.get().to_be_bytes());
        let trailer = Trailer { post_apply, file_checksum: self.hasher.finish() };
        self.output.extend_from_slice(&trailer.encode());
        Ok(trailer)
    }

    /// What was written since the caller last cleared it. The rest of a file may only come with [`Encoder::finish`].
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Adds to the page block.
    fn write(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        match self.compressor.as_mut().filter(|_| self.header.compressed) {
            Some(compressor) => compressor.write(bytes, &mut self.output),
            None => self.output.extend_from_slice(bytes),
        }
    }
}

/// Why an LTX file cannot be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// The header is wrong.
    #[error("cannot write LTX header: {0}")]
    Header(#[from] HeaderError),
    /// A page cannot stand where it does.
    #[error("cannot write LTX page: {0}")]
    Page(#[from] PageSequenceError),
    /// The content of a page has another length than a page of the database.
    #[error("cannot write LTX page {page} of {found} bytes: the database has pages of {expected}")]
    PageLength {
        /// The page.
        page: PageNumber,
        /// Bytes of content.
        found: usize,
        /// Bytes in a page.
        expected: usize,
    },
    /// The checksum of the database is wrong.
    #[error("cannot write LTX trailer: {0}")]
    PostApply(#[from] PostApplyError),
    /// The file was finished before.
    #[error("the LTX file is finished, nothing can be added")]
    Finished,
}
