use alloc::format;
use alloc::vec::Vec;

use proptest::prelude::*;
use twox_hash::xxhash32::Hasher;

use super::*;

/// What the frames in the test data hold.
fn content() -> Vec<u8> {
    let rows = (0..12_000).flat_map(|n| format!("row {} of {}\n", n % 97, n % 13).into_bytes());
    rows.take(140_000).collect()
}

/// Reads a frame that is fed `piece` bytes at a time. `Ok(None)` is a frame that does not end.
fn read(frame: &[u8], piece: usize) -> Result<Option<(Vec<u8>, usize)>, Lz4FrameError> {
    let mut reader = FrameReader::new();
    let mut out = Vec::new();
    let (mut at, mut end) = (0, 0);
    loop {
        match reader.step(&frame[at..end], &mut out)? {
            Progress::Read(len) => at += len,
            Progress::Ended(len) => return Ok(Some((out, at + len))),
            Progress::NeedsMore if end == frame.len() => return Ok(None),
            Progress::NeedsMore => end = frame.len().min(end + piece),
        }
    }
}

fn write(content: &[u8], piece: usize) -> Vec<u8> {
    let mut writer = FrameWriter::new();
    let mut out = Vec::new();
    writer.begin(&mut out);
    for piece in content.chunks(piece) {
        writer.write(piece, &mut out);
    }
    writer.finish(&mut out);
    out
}

const LINKED: &[u8] = include_bytes!("../../../testdata/lz4/linked.lz4");
const LINKED_BLOCK_CHECKSUMS: &[u8] = include_bytes!("../../../testdata/lz4/linked-block-checksums.lz4");
const INDEPENDENT: &[u8] = include_bytes!("../../../testdata/lz4/independent.lz4");
const CONTENT_SIZE: &[u8] = include_bytes!("../../../testdata/lz4/content-size.lz4");
const NO_CONTENT_CHECKSUM: &[u8] = include_bytes!("../../../testdata/lz4/no-content-checksum.lz4");

/// Frames that the `lz4` program wrote.
const FOREIGN: [(&str, &[u8]); 5] = [
    ("linked", LINKED),
    ("linked-block-checksums", LINKED_BLOCK_CHECKSUMS),
    ("independent", INDEPENDENT),
    ("content-size", CONTENT_SIZE),
    ("no-content-checksum", NO_CONTENT_CHECKSUM),
];

#[test]
fn frames_of_the_lz4_program_are_read_whatever_their_options() {
    for (name, frame) in FOREIGN {
        for piece in [1, 7, 4096, usize::MAX / 2] {
            let (found, read) = read(frame, piece).unwrap().unwrap();
            assert!(found == content(), "{name} read {piece} bytes at a time");
            assert_eq!(read, frame.len(), "{name}");
        }
    }
}

#[test]
fn reader_stops_at_the_end_of_the_frame() {
    let mut bytes = LINKED.to_vec();
    bytes.extend_from_slice(b"the trailer");
    assert_eq!(read(&bytes, bytes.len()).unwrap().unwrap().1, LINKED.len());
}

#[test]
fn every_changed_byte_of_a_checked_frame_is_noticed() {
    for index in 0..LINKED_BLOCK_CHECKSUMS.len() {
        let mut damaged = LINKED_BLOCK_CHECKSUMS.to_vec();
        damaged[index] ^= 0x10;
        let found = read(&damaged, damaged.len());
        assert!(!matches!(found, Ok(Some(_))), "byte {index}");
    }
}

#[test]
fn truncated_frame_does_not_end() {
    for len in 0..LINKED.len() {
        assert_eq!(read(&LINKED[..len], len.max(1)), Ok(None), "{len} bytes");
    }
}

#[test]
fn each_fault_of_a_frame_is_named() {
    let with = |frame: &[u8], changes: &[(usize, u8)]| {
        let mut bytes = frame.to_vec();
        for (at, byte) in changes {
            bytes[*at] = *byte;
        }
        bytes[6] = (Hasher::oneshot(0, &bytes[4..6]) >> 8) as u8;
        read(&bytes, bytes.len()).unwrap_err()
    };
    assert_eq!(with(LINKED, &[(3, 0)]), DescriptorError::Magic { found: [4, 0x22, 0x4d, 0] }.into());
    for (at, byte) in [(4, 0xc4), (4, 0x46), (5, 0x48), (5, 0xc0), (5, 0x30)] {
        assert!(matches!(
            with(LINKED, &[(at, byte)]),
            Lz4FrameError::Descriptor(DescriptorError::Unknown { .. })
        ));
    }
    assert_eq!(with(LINKED, &[(4, 0x45)]), DescriptorError::Dictionary.into());
    let mut checksum = LINKED.to_vec();
    checksum[6] ^= 1;
    let found = read(&checksum, checksum.len());
    assert!(matches!(found, Err(Lz4FrameError::Descriptor(DescriptorError::Checksum { .. }))));

    let max = 64 * 1024;
    assert_eq!(
        with(LINKED, &[(7, 1), (8, 0), (9, 1), (10, 0)]),
        Lz4FrameError::BlockSize { found: max + 1, max }
    );
    // A frame that says its blocks are independent although they are not.
    assert_eq!(with(LINKED, &[(4, 0x64)]), Lz4FrameError::Block);
    let last = LINKED.len() - 1;
    let content = with(LINKED, &[(last, !LINKED[last])]);
    assert!(matches!(content, Lz4FrameError::Checksum { part: Lz4Part::Content, .. }));
    let block = with(LINKED_BLOCK_CHECKSUMS, &[(30, !LINKED_BLOCK_CHECKSUMS[30])]);
    assert!(matches!(block, Lz4FrameError::Checksum { part: Lz4Part::Block, .. }));
    let mut size = CONTENT_SIZE.to_vec();
    size[6] ^= 1;
    size[14] = (Hasher::oneshot(0, &size[4..14]) >> 8) as u8;
    let expected = Lz4FrameError::ContentSize { found: 140_000, expected: 140_001 };
    assert_eq!(read(&size, size.len()), Err(expected));
}

#[test]
fn written_frame_has_the_layout_that_other_readers_of_ltx_expect() {
    assert_eq!(
        write(&[0; 4], 4),
        [
            0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7, // descriptor
            0x04, 0x00, 0x00, 0x80, 0, 0, 0, 0, // four bytes, stored
            0, 0, 0, 0, 0x69, 0xd9, 0xd6, 0x08, // end and checksum
        ]
    );
}

#[test]
fn content_that_does_not_compress_is_stored() {
    let mut state = 1u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let noise: Vec<u8> = (0..70_000).map(|_| draw()).collect();
    let frame = write(&noise, 1000);
    assert_eq!(frame.len(), 7 + 4 + 65_536 + 4 + (70_000 - 65_536) + 8);
    assert_eq!(read(&frame, frame.len()).unwrap().unwrap().0, noise);
}

#[test]
fn writer_begins_anew_after_a_frame_it_did_not_finish() {
    let mut writer = FrameWriter::new();
    let mut out = Vec::new();
    writer.begin(&mut out);
    writer.write(b"never finished", &mut out);
    out.clear();
    writer.begin(&mut out);
    writer.write(&[0; 4], &mut out);
    writer.finish(&mut out);
    assert_eq!(out, write(&[0; 4], 4));
}

proptest! {
    #[test]
    fn frame_reads_as_what_was_written(
        pattern in prop::collection::vec(any::<u8>(), 1..300), len in 0usize..200_000, piece in 1usize..70_000,
    ) {
        let content: Vec<u8> = pattern.iter().copied().cycle().take(len).collect();
        let frame = write(&content, piece);
        let (found, read) = read(&frame, piece).unwrap().unwrap();
        prop_assert!(found == content);
        prop_assert_eq!(read, frame.len());
    }
}
