use alloc::vec;
use alloc::vec::Vec;

use super::*;

fn merge(inputs: &[&[u8]], compressed: bool) -> Result<Vec<u8>, CompactError> {
    let mut out = Vec::new();
    let inputs = inputs.iter().map(|bytes| (*bytes, 0..bytes.len() as u64));
    let (header, trailer) = compact(inputs, compressed, |piece| {
        out.extend_from_slice(piece);
        Ok(())
    })?;
    assert_eq!(verify(&out), Ok((header, trailer)));
    Ok(out)
}

/// Four transactions on a database with pages of 512 bytes, by what they write, and the checksum after each.
pub(super) fn history() -> Vec<Vec<u8>> {
    let steps: [&[(u32, u8)]; 4] = [&[(1, 1)], &[(1, 3), (2, 4), (3, 5)], &[(2, 2)], &[]];
    let mut sums = alloc::collections::BTreeMap::new();
    let mut position = Checksum::ZERO;
    (1..)
        .zip(steps)
        .zip([1, 3, 3, 2])
        .map(|((txid, pages), commit)| {
            for (number, fill) in pages {
                sums.insert(*number, Checksum::of_page(page_number(*number), &[*fill; 512]));
            }
            sums.retain(|number, _| *number <= commit);
            let after = sums.values().copied().fold(Checksum::EMPTY, Checksum::toggle);
            let (min_txid, max_txid) = (Txid::new(txid), Txid::new(txid));
            let (pre_apply, timestamp_ms) = (position, 1000 * txid as i64);
            let wal_size = 536;
            let base = Header { wal_offset: 32, wal_size, node_id: NodeId::new(7), ..header() };
            let header = Header { commit, min_txid, max_txid, pre_apply, timestamp_ms, ..base };
            position = after;
            encode(header, pages, after.get()).unwrap()
        })
        .collect()
}

#[test]
fn compaction_keeps_the_newest_pages_that_the_database_still_has() {
    let files = history();
    let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    for compressed in [false, true] {
        // The order in which they are given does not matter.
        let merged =
            decode_all(&merge(&[files[2], files[0], files[3], files[1]], compressed).unwrap()).unwrap();
        let expected = Header { compressed, timestamp_ms: 4000, ..snapshot(2, 4) };
        assert_eq!(merged.header, expected);
        assert_eq!(merged.pages, [(page_number(1), vec![3; 512]), (page_number(2), vec![2; 512])]);
        assert_eq!(merged.trailer.post_apply, Checksum::new(0x8b87_423e_eeee_eeee));

        let merged = decode_all(&merge(&files[1..3], compressed).unwrap()).unwrap();
        let pre_apply = Checksum::new(0xe4e4_aaa1_0237_7eee);
        let (min_txid, max_txid) = (Txid::new(2), Txid::new(3));
        let base = Header { compressed, commit: 3, timestamp_ms: 3000, ..header() };
        assert_eq!(merged.header, Header { min_txid, max_txid, pre_apply, ..base });
        let pages = [(1, 3), (2, 2), (3, 5)].map(|(number, fill)| (page_number(number), vec![fill; 512]));
        assert_eq!(merged.pages, pages);
    }
}

#[test]
fn compaction_of_one_file_keeps_its_pages() {
    let file = &history()[1];
    let merged = decode_all(&merge(&[file], false).unwrap()).unwrap();
    assert_eq!(merged.pages, decode_all(file).unwrap().pages);
    assert_eq!(merged.header.node_id, NodeId::ZERO);
}

#[test]
fn compaction_of_files_that_do_not_belong_together_is_refused() {
    let files = history();
    assert_eq!(merge(&[], false), Err(CompactError::NoInput));
    let gap = CompactError::Gap { older: Txid::new(1), newer: Txid::new(3) };
    assert_eq!(merge(&[&files[0], &files[2]], false), Err(gap));
    let twice = CompactError::Gap { older: Txid::new(1), newer: Txid::new(1) };
    assert_eq!(merge(&[&files[0], &files[0]], false), Err(twice));

    let page_size = PageSize::new(1024).unwrap();
    let other = encode(Header { page_size, ..header() }, &[(1, 0)], 1 << 63).unwrap();
    let sizes = CompactError::PageSize { older: PageSize::MIN, newer: page_size };
    assert_eq!(merge(&[&files[0], &other], false), Err(sizes));

    let pre_apply = Checksum::new(0x8000_0000_0000_0001);
    let foreign = encode(Header { pre_apply, ..header() }, &[(1, 0), (2, 0)], 1 << 63).unwrap();
    let post_apply = Checksum::new(0xe4e4_aaa1_0237_7eee);
    let chain = CompactError::Chain { newer: Txid::new(2), pre_apply, post_apply };
    assert_eq!(merge(&[&files[0], &foreign], false), Err(chain));
}

#[test]
fn b17_compaction_of_a_damaged_file_is_an_error() {
    let mut files = history();
    let whole = files[1].len();
    files[1].truncate(50);
    let fault = DecodeError { offset: 50, fault: Fault::Truncated };
    let error = CompactError::Read { first: None, error: fault.into() };
    assert_eq!(merge(&[&files[0], &files[1]], false), Err(error));

    let mut files = history();
    files[1].truncate(whole - 1);
    let fault = DecodeError { offset: whole as u64 - 1, fault: Fault::Truncated };
    let error = CompactError::Read { first: Some(Txid::new(2)), error: fault.into() };
    assert_eq!(merge(&[&files[0], &files[1]], false), Err(error));
}

#[test]
fn compaction_into_a_snapshot_that_is_not_what_it_says_is_an_error() {
    let files = history();
    // A page was added to the database and is in no file.
    let pre_apply = Checksum::new(0xe4e4_aaa1_0237_7eee);
    let hole = encode(Header { commit: 3, pre_apply, ..header() }, &[(3, 0)], 1 << 63).unwrap();
    let gap = EncodeError::Page(PageSequenceError::Gap { page: page_number(3), expected: 2 });
    assert_eq!(merge(&[&files[0], &hole], false), Err(gap.into()));
    let wrong = encode(header(), &[(2, 2)], 1 << 63).unwrap();
    let computed = Checksum::new(0xad2d_ffe3_3333_3333);
    let error = CompactError::Checksum { found: Checksum::EMPTY, computed };
    assert_eq!(merge(&[&files[0], &wrong], false), Err(error));
}

#[test]
fn output_that_cannot_be_written_ends_a_compaction() {
    let file = &history()[0][..];
    let result = compact([(file, 0..file.len() as u64)], true, |_| Err(crate::Errno::ENOSPC));
    assert_eq!(result, Err(CompactError::Write(crate::Errno::ENOSPC)));
}
