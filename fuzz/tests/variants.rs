//! The corpus of the LTX decoder has every variant of the format, as files that are whole.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::BTreeSet;
use std::path::Path;

use litefs_core::ltx::{self, Header};

/// Where the descriptor of the LZ4 frame is in a compressed file, in bytes.
const DESCRIPTOR: usize = Header::LEN + 4;

/// What a whole file is, in words.
fn variants(file: &[u8]) -> Option<BTreeSet<String>> {
    let (header, _) = ltx::verify(file).ok()?;
    let mut found = BTreeSet::new();
    let mut add = |is: bool, yes: &str, no: &str| found.insert(if is { yes } else { no }.to_owned());
    add(header.is_snapshot(), "snapshot", "transaction");
    add(header.min_txid == header.max_txid, "one", "range");
    add(header.wal_size > 0, "WAL", "no WAL");
    add(header.commit == 0, "dropped", "pages");
    add(header.compressed, "compressed", "uncompressed");
    if header.compressed {
        let (flags, sizes) = (file[DESCRIPTOR], file[DESCRIPTOR + 1]);
        add(flags & 1 << 5 != 0, "independent", "linked");
        add(flags & 1 << 4 != 0, "block checksums", "no block checksums");
        add(flags & 1 << 3 != 0, "content size", "no content size");
        add(flags & 1 << 2 != 0, "content checksum", "no content checksum");
        let blocks = DESCRIPTOR + if flags & 1 << 3 != 0 { 11 } else { 3 };
        add(file[blocks + 3] & 0x80 != 0, "stored block", "LZ4 block");
        found.insert(format!("block size {}", sizes >> 4));
    }
    Some(found)
}

#[test]
fn corpus_of_the_ltx_decoder_has_every_variant() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/ltx_decode");
    let files = std::fs::read_dir(corpus).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let found: BTreeSet<String> = files.filter_map(|input| variants(&input[1..])).flatten().collect();
    let expected = [
        "LZ4 block",
        "WAL",
        "block checksums",
        "block size 4",
        "block size 5",
        "block size 6",
        "block size 7",
        "compressed",
        "content checksum",
        "content size",
        "dropped",
        "independent",
        "linked",
        "no WAL",
        "no block checksums",
        "no content checksum",
        "no content size",
        "one",
        "pages",
        "range",
        "snapshot",
        "stored block",
        "transaction",
        "uncompressed",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
