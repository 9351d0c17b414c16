use litefs_core::Position;
use litefs_core::ltx;

use crate::repair::repair;

/// Most files that are merged in one run.
const MAX_FILES: usize = 8;

/// LTX files to merge, each behind its length (2 bytes, big-endian). The byte before them says how: bit 0 compresses
/// the output, bit 1 repairs the checksums.
pub fn ltx_compact(data: &[u8]) {
    let Some((control, mut rest)) = data.split_first() else { return };
    let mut files = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk()
        && files.len() < MAX_FILES
    {
        let (file, after) = after.split_at(after.len().min(usize::from(u16::from_be_bytes(*len))));
        let mut file = file.to_vec();
        if control & 2 != 0 {
            repair(&mut file);
        }
        files.push(file);
        rest = after;
    }
    let mut out = Vec::new();
    let inputs = files.iter().map(|file| (&file[..], 0..file.len() as u64));
    let merged = ltx::compact(inputs, control & 1 != 0, |piece| {
        out.extend_from_slice(piece);
        Ok(())
    });
    let Ok((header, trailer)) = merged else { return };
    assert_eq!(ltx::verify(&out), Ok((header, trailer)), "the merged file is not what was said");
    check_ends(
        &files,
        header.pre_apply_position(),
        Position { txid: header.max_txid, checksum: trailer.post_apply },
    );
    check_pages(&files, &out);
}

/// The merged file begins where the oldest file began and ends where the newest ended.
fn check_ends(files: &[Vec<u8>], begin: Position, end: Position) {
    let parts: Vec<_> = files.iter().filter_map(|file| ltx::verify(file).ok()).collect();
    assert_eq!(parts.len(), files.len(), "a damaged file was merged");
    assert_eq!(parts.iter().map(|(header, _)| header.pre_apply_position()).min(), Some(begin));
    let ends = parts.iter().map(|(header, trailer)| (header.max_txid, trailer.post_apply));
    assert_eq!(ends.max_by_key(|(txid, _)| *txid), Some((end.txid, end.checksum)));
}

/// Each page is in the newest file that has it as it is in the merged one.
fn check_pages(files: &[Vec<u8>], merged: &[u8]) {
    let Ok(merged) = ltx::decode_all(merged) else { panic!("verified before") };
    let mut inputs: Vec<_> = files.iter().filter_map(|file| ltx::decode_all(file).ok()).collect();
    inputs.sort_by_key(|ltx| ltx.header.min_txid);
    let mut expected = std::collections::BTreeMap::new();
    for input in inputs {
        expected.extend(input.pages);
    }
    expected.retain(|number, _| number.get() <= merged.header.commit);
    assert_eq!(merged.pages, expected.into_iter().collect::<Vec<_>>());
}
