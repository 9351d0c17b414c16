use std::io::{self, Read};

use litefs_core::{Checksum, DatabaseName, Position, Txid};

use crate::verifier::Verifier;
use crate::{Host, LtxSource};

/// Bytes of a transaction that is sent from memory.
const WHOLE: u64 = 1 << 20;
/// Bytes read from the log at a time.
const PIECE: usize = 256 << 10;

/// A transaction from the log that was checked and can be sent.
pub(crate) enum Outgoing {
    /// All of it.
    Whole {
        /// Where it takes the database.
        position: Position,
        bytes: Vec<u8>,
    },
    /// Too large for memory.
    Large {
        /// Where it takes the database.
        position: Position,
        source: LtxSource,
    },
}

/// The transaction `txid` of the database if the log has it and it starts from the checksum `pre_apply`. Blocks.
///
/// It is checked before it is sent: a peer that received a damaged one would ask for it again and again.
pub(crate) fn find(
    host: &dyn Host,
    database: &DatabaseName,
    txid: Txid,
    pre_apply: Checksum,
) -> io::Result<Option<Outgoing>> {
    let Some(source) = host.transaction(database, txid)? else { return Ok(None) };
    let mut verifier = Verifier::default();
    let whole = source.len <= WHOLE;
    let mut bytes = Vec::new();
    let mut offset = 0;
    while offset < source.len {
        let limit = if whole { usize::MAX } else { PIECE };
        bytes.resize(usize::try_from(source.len - offset).unwrap_or(limit).min(limit), 0);
        source.read_exact_at(&mut bytes, offset)?;
        verifier.check(&bytes).map_err(io::Error::other)?;
        offset += bytes.len() as u64;
    }
    let (header, trailer) = verifier.finish().map_err(io::Error::other)?;
    if (header.min_txid, header.max_txid, header.pre_apply) != (txid, txid, pre_apply) {
        return Ok(None);
    }
    let position = Position { txid, checksum: trailer.post_apply };
    Ok(Some(if whole { Outgoing::Whole { position, bytes } } else { Outgoing::Large { position, source } }))
}

impl LtxSource {
    /// The bytes of the file from the beginning. Reading blocks.
    pub(crate) fn into_reader(self) -> Box<dyn Read + Send> {
        Box::new(Reader { source: self, position: 0 })
    }
}

struct Reader {
    source: LtxSource,
    position: u64,
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.source.len - self.position).unwrap_or(usize::MAX);
        let len = into.len().min(rest);
        self.source.read_exact_at(&mut into[..len], self.position)?;
        self.position += len as u64;
        Ok(len)
    }
}
