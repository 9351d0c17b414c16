mod compaction;
mod decoding;
mod encoding;
mod recorded;
mod round_trip;

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::{Checksum, NodeId, PageNumber, PageSize, Txid};

/// Files that LiteFS wrote, except the first, which was put together by hand from the description of the format.
const DROP_UNCOMPRESSED: &[u8] = include_bytes!("../../../testdata/ltx/drop-uncompressed.ltx");
const FIRST_TRANSACTION: &[u8] = include_bytes!("../../../testdata/ltx/first-transaction.ltx");
const WAL_TRANSACTION: &[u8] = include_bytes!("../../../testdata/ltx/wal-transaction.ltx");
const DROP: &[u8] = include_bytes!("../../../testdata/ltx/drop.ltx");

fn page_number(number: u32) -> PageNumber {
    PageNumber::new(number).unwrap()
}

/// The header of a transaction that changes a database with two pages of 512 bytes.
fn header() -> Header {
    Header {
        compressed: false,
        page_size: PageSize::MIN,
        commit: 2,
        min_txid: Txid::new(2),
        max_txid: Txid::new(2),
        timestamp_ms: 1000,
        pre_apply: Checksum::new(0xe4e4_aaa1_0237_7eee),
        wal_offset: 0,
        wal_size: 0,
        wal_salt: [0, 0],
        node_id: NodeId::ZERO,
    }
}

fn snapshot(commit: u32, max_txid: u64) -> Header {
    let (min_txid, max_txid) = (Txid::new(1), Txid::new(max_txid));
    Header { commit, min_txid, max_txid, pre_apply: Checksum::ZERO, ..header() }
}

fn encode(header: Header, pages: &[(u32, u8)], post_apply: u64) -> Result<Vec<u8>, EncodeError> {
    let mut encoder = Encoder::new(header)?;
    for (number, fill) in pages {
        encoder.page(page_number(*number), &vec![*fill; header.page_size.bytes()])?;
    }
    encoder.finish(Checksum::new(post_apply))?;
    Ok(core::mem::take(encoder.output()))
}
