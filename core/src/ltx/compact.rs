use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt;
use core::ops::Range;

use super::{EncodeError, Encoder, Header, Item, ReadError, Reader, Trailer};
use crate::{Checksum, Errno, NodeId, PageNumber, PageSize, ReadAt, Txid};

/// How much output is gathered before it is given to the sink, in bytes.
const CHUNK_LEN: usize = 64 * 1024;

/// Merges LTX files that follow each other into one. An input is a range of bytes of a file.
///
/// The newest version of each page is kept, unless the database has shrunk below it. The inputs may come in any order.
/// They are read once, a page of each in memory at a time, and fully verified; the output goes to `sink` piece by
/// piece. After an error what the sink received is worthless.
pub fn compact<R: ReadAt>(
    inputs: impl IntoIterator<Item = (R, Range<u64>)>,
    compressed: bool,
    mut sink: impl FnMut(&[u8]) -> Result<(), Errno>,
) -> Result<(Header, Trailer), CompactError> {
    let inputs = inputs.into_iter().map(|(source, range)| Input::open(Reader::new(source, range)));
    let mut inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    inputs.sort_by_key(|input| (input.header.min_txid, input.header.max_txid));
    let header = merged_header(&inputs, compressed)?;
    let mut encoder = Encoder::new(header)?;
    let mut checksum = Checksum::EMPTY;

    // The input whose page is next; of those with the same page the newest.
    let mut next: BinaryHeap<(Reverse<PageNumber>, usize)> = BinaryHeap::new();
    for (index, input) in inputs.iter_mut().enumerate() {
        next.extend(input.advance()?.map(|page| (Reverse(page), index)));
    }
    let mut written = None;
    while let Some((Reverse(page), index)) = next.pop() {
        let input = &mut inputs[index];
        if written != Some(page) && page.get() <= header.commit {
            if header.is_snapshot() {
                checksum = checksum.toggle(Checksum::of_page(page, &input.page));
            }
            encoder.page(page, &input.page)?;
            written = Some(page);
        }
        next.extend(input.advance()?.map(|page| (Reverse(page), index)));
        if encoder.output().len() >= CHUNK_LEN {
            drain(&mut encoder, &mut sink)?;
        }
    }

    let post_apply = check_chain(&inputs)?;
    if header.is_snapshot() && post_apply != checksum {
        return Err(CompactError::Checksum { found: post_apply, computed: checksum });
    }
    let trailer = encoder.finish(post_apply)?;
    drain(&mut encoder, &mut sink)?;
    Ok((header, trailer))
}

fn drain(
    encoder: &mut Encoder,
    sink: &mut impl FnMut(&[u8]) -> Result<(), Errno>,
) -> Result<(), CompactError> {
    sink(encoder.output()).map_err(CompactError::Write)?;
    encoder.output().clear();
    Ok(())
}

/// The header of the output.
fn merged_header<R>(inputs: &[Input<R>], compressed: bool) -> Result<Header, CompactError> {
    let (Some(first), Some(last)) = (inputs.first(), inputs.last()) else {
        return Err(CompactError::NoInput);
    };
    for pair in inputs.windows(2) {
        let (older, newer) = (&pair[0].header, &pair[1].header);
        if older.page_size != newer.page_size {
            return Err(CompactError::PageSize { older: older.page_size, newer: newer.page_size });
        }
        if Some(newer.min_txid.get()) != older.max_txid.get().checked_add(1) {
            return Err(CompactError::Gap { older: older.max_txid, newer: newer.min_txid });
        }
    }
    Ok(Header {
        compressed,
        page_size: first.header.page_size,
        commit: last.header.commit,
        min_txid: first.header.min_txid,
        max_txid: last.header.max_txid,
        timestamp_ms: last.header.timestamp_ms,
        pre_apply: first.header.pre_apply,
        wal_offset: 0,
        wal_size: 0,
        wal_salt: [0, 0],
        node_id: NodeId::ZERO,
    })
}

/// Checks that each input begins where the one before it ended, and returns where the last ended.
fn check_chain<R>(inputs: &[Input<R>]) -> Result<Checksum, CompactError> {
    let mut previous: Option<Checksum> = None;
    for input in inputs {
        if let Some(post_apply) = previous.filter(|post_apply| *post_apply != input.header.pre_apply) {
            let (newer, pre_apply) = (input.header.min_txid, input.header.pre_apply);
            return Err(CompactError::Chain { newer, pre_apply, post_apply });
        }
        previous = input.post_apply;
    }
    previous.ok_or(CompactError::NoInput)
}

/// One of the files to merge.
struct Input<R> {
    reader: Reader<R>,
    header: Header,
    /// The content of the current page.
    page: Vec<u8>,
    /// Known when all pages were read.
    post_apply: Option<Checksum>,
}

impl<R: ReadAt> Input<R> {
    fn open(mut reader: Reader<R>) -> Result<Self, CompactError> {
        match reader.next() {
            Ok(Some(Item::Header(header))) => Ok(Self { reader, header, page: Vec::new(), post_apply: None }),
            // A reader begins with a header or an error.
            Ok(_) => Err(CompactError::NoInput),
            Err(error) => Err(CompactError::Read { first: None, error }),
        }
    }

    /// Moves to the next page, `None` after the last.
    fn advance(&mut self) -> Result<Option<PageNumber>, CompactError> {
        let first = Some(self.header.min_txid);
        match self.reader.next().map_err(|error| CompactError::Read { first, error })? {
            Some(Item::Page { number, data }) => {
                self.page.clear();
                self.page.extend_from_slice(data);
                Ok(Some(number))
            }
            Some(Item::End(trailer)) => {
                self.post_apply = Some(trailer.post_apply);
                Ok(None)
            }
            Some(Item::Header(_)) | None => Ok(None),
        }
    }
}

/// Why LTX files cannot be merged.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CompactError {
    /// There is nothing to merge.
    #[error("no LTX files to compact")]
    NoInput,
    /// An input cannot be read.
    #[error("cannot compact LTX file{}: {error}", Beginning(*first))]
    Read {
        /// The first transaction in the file, if that is known.
        first: Option<Txid>,
        /// What is wrong with it.
        error: ReadError,
    },
    /// Two inputs are of different databases, or the page size changed between them.
    #[error("cannot compact LTX files with pages of {older} and {newer} bytes into one")]
    PageSize {
        /// The page size of the older file.
        older: PageSize,
        /// The page size of the newer file.
        newer: PageSize,
    },
    /// Transactions are missing between two inputs, or in both.
    #[error("cannot compact LTX files into one: transaction {newer} does not follow {older}")]
    Gap {
        /// The last transaction of the older file.
        older: Txid,
        /// The first transaction of the newer file.
        newer: Txid,
    },
    /// Two inputs follow each other by number but not by content.
    #[error(
        "cannot compact LTX files into one: transaction {newer} was made on a database with checksum {pre_apply}, \
         the one before it left {post_apply}"
    )]
    Chain {
        /// The first transaction of the newer file.
        newer: Txid,
        /// The pre-apply checksum of the newer file.
        pre_apply: Checksum,
        /// The post-apply checksum of the older file.
        post_apply: Checksum,
    },
    /// The pages of a merged snapshot are not the database that the last input left.
    #[error("compacted snapshot has post-apply checksum {found}, its pages give {computed}")]
    Checksum {
        /// The post-apply checksum of the last input.
        found: Checksum,
        /// The checksum of the pages.
        computed: Checksum,
    },
    /// The merged pages do not make an LTX file.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The output cannot be written.
    #[error("cannot write compacted LTX file: {0}")]
    Write(Errno),
}

/// Says with which transaction a file begins, if that is known.
struct Beginning(Option<Txid>);

impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(txid) => write!(f, " that begins with transaction {txid}"),
            None => Ok(()),
        }
    }
}
