use alloc::vec;
use alloc::vec::Vec;

use super::compaction::history;
use super::*;

/// A file that the encoder would refuse to write: the pages are anything, the file checksum is right.
fn forge(header: Header, pages: &[(u32, u8)], post_apply: u64) -> Vec<u8> {
    let mut file = header.encode().to_vec();
    for (number, fill) in pages {
        file.extend_from_slice(&number.to_be_bytes());
        file.extend_from_slice(&vec![*fill; header.page_size.bytes()]);
    }
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&post_apply.to_be_bytes());
    let mut hasher = crate::ChecksumHasher::new();
    hasher.update(&file);
    file.extend_from_slice(&hasher.finish().get().to_be_bytes());
    file
}

#[test]
fn decoder_refuses_what_the_encoder_would_not_write_and_says_where() {
    let good = 0xad2d_ffe3_3333_3333;
    let page_len = 516;
    let fault = |header, pages: &[(u32, u8)], post_apply| {
        let error = verify(&forge(header, pages, post_apply)).unwrap_err();
        (error.offset, error.fault)
    };
    let found = Checksum::new(good);
    let order = |page, previous| Fault::Page(PageSequenceError::Order { page: page_number(page), previous });

    assert!(verify(&forge(snapshot(2, 1), &[(1, 1), (2, 2)], good)).is_ok());
    assert!(verify(&forge(header(), &[(1, 1), (2, 2)], good)).is_ok());
    assert_eq!(fault(header(), &[(2, 2), (1, 1)], good), (100 + page_len, order(1, 2)));
    assert_eq!(fault(header(), &[(1, 1), (1, 1)], good), (100 + page_len, order(1, 1)));
    let beyond = PageSequenceError::OutOfBounds { page: page_number(3), commit: 2 };
    assert_eq!(fault(header(), &[(3, 2)], good), (100, beyond.into()));
    let gap = PageSequenceError::Gap { page: page_number(2), expected: 1 };
    assert_eq!(fault(snapshot(2, 1), &[(2, 2)], good), (100, gap.into()));
    let incomplete = PageSequenceError::Incomplete { expected: 2, commit: 2 };
    assert_eq!(fault(snapshot(2, 1), &[(1, 1)], good), (100 + page_len + 4, incomplete.into()));
    let lock_page = PageSequenceError::LockPage { page: page_number(2_097_153) };
    assert_eq!(
        fault(Header { commit: 3_000_000, ..header() }, &[(2_097_153, 0)], good),
        (100, lock_page.into())
    );
    let wrong = Fault::SnapshotChecksum { found: Checksum::EMPTY, computed: found };
    assert_eq!(
        fault(snapshot(2, 1), &[(1, 1), (2, 2)], Checksum::EMPTY.get()),
        (100 + 2 * page_len + 4, wrong)
    );
    let zero = PostApplyError::Format { found: Checksum::ZERO };
    assert_eq!(fault(header(), &[], 0), (104, zero.into()));
    let deleted = PostApplyError::Deleted { found };
    assert_eq!(fault(Header { commit: 0, ..header() }, &[], good), (104, deleted.into()));
}

#[test]
fn nothing_may_follow_the_trailer() {
    let mut file = WAL_TRANSACTION.to_vec();
    file.push(0);
    let expected = DecodeError { offset: WAL_TRANSACTION.len() as u64, fault: Fault::AfterTrailer };
    assert_eq!(verify(&file), Err(expected));

    let mut decoder = Decoder::new();
    decoder.feed(WAL_TRANSACTION);
    while let Some(item) = decoder.next().unwrap() {
        if let Item::End(trailer) = item {
            assert_eq!(trailer.post_apply, Checksum::new(0xbb16_cb1c_1d0d_275d));
        }
    }
    assert!(decoder.finish().is_ok());
    decoder.feed(&[0]);
    assert_eq!(decoder.finish(), Err(expected));
    assert_eq!(decoder.next(), Err(expected));
    assert_eq!(decoder.next(), Err(expected), "an error stays");
}

#[test]
fn no_truncation_and_no_flipped_bit_changes_what_is_read() {
    let uncompressed = encode(snapshot(2, 1), &[(1, 1), (2, 2)], 0xad2d_ffe3_3333_3333).unwrap();
    for file in [DROP_UNCOMPRESSED, FIRST_TRANSACTION, WAL_TRANSACTION, DROP, &uncompressed] {
        for len in 0..file.len() {
            let expected = DecodeError { offset: len as u64, fault: Fault::Truncated };
            assert_eq!(verify(&file[..len]), Err(expected), "{len} bytes");
        }
        for bit in 0..file.len() * 8 {
            let mut damaged = file.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // In a compressed file a match may then refer to other bytes that are the same.
            let is_compressed = file[7] & 1 == 1;
            let same = is_compressed && decode_all(&damaged) == decode_all(file);
            assert!(same || verify(&damaged).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn compressed_pages_end_with_their_end_mark_and_not_before_or_after() {
    let block = |content: &[u8]| {
        let mut file = Header { compressed: true, ..header() }.encode().to_vec();
        let mut writer = lz4_frame::FrameWriter::new();
        writer.begin(&mut file);
        writer.write(content, &mut file);
        writer.finish(&mut file);
        file.extend_from_slice(&[0; 16]);
        verify(&file).unwrap_err().fault
    };
    assert_eq!(block(&[0; 5]), Fault::AfterPages);
    assert_eq!(block(&[]), Fault::EndedInPages);
    assert_eq!(block(&[0, 0, 0, 1, 7]), Fault::EndedInPages);
}

#[test]
fn file_may_use_any_lz4_frame() {
    // The same frame contents, but written by another program: linked blocks would be found here, and are elsewhere
    // tested; this is about stopping where the frame ends.
    let content = [0u8; 4];
    let mut file = Header { compressed: true, ..header() }.encode().to_vec();
    // Version 1, linked, block checksums, content size, content checksum, blocks of up to 4 MiB.
    let descriptor = [0x5c, 0x70, 4, 0, 0, 0, 0, 0, 0, 0];
    let xxh = |bytes: &[u8]| twox_hash::xxhash32::Hasher::oneshot(0, bytes);
    file.extend_from_slice(&[0x04, 0x22, 0x4d, 0x18]);
    file.extend_from_slice(&descriptor);
    file.push((xxh(&descriptor) >> 8) as u8);
    file.extend_from_slice(&[4, 0, 0, 0x80]);
    file.extend_from_slice(&content);
    file.extend_from_slice(&xxh(&content).to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&xxh(&content).to_le_bytes());
    let mut hasher = crate::ChecksumHasher::new();
    hasher.update(&file[..100]);
    hasher.update(&content);
    hasher.update(&Checksum::EMPTY.get().to_be_bytes());
    file.extend_from_slice(&Checksum::EMPTY.get().to_be_bytes());
    file.extend_from_slice(&hasher.finish().get().to_be_bytes());
    assert!(verify(&file).is_ok());
}

#[test]
fn reader_reads_a_file_between_others() {
    let files = history();
    let segment = files.concat();
    let start = files[0].len() as u64;
    let mut reader = Reader::new(&segment[..], start..start + files[1].len() as u64);
    let mut items = 0;
    while reader.next().unwrap().is_some() {
        items += 1;
    }
    assert_eq!(items, 5);
    // Up to the end of the segment there is more than one file.
    let mut reader = Reader::new(&segment[..], start..u64::MAX);
    let fault = loop {
        match reader.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("nothing wrong was found"),
            Err(error) => break error,
        }
    };
    let offset = files[1].len() as u64;
    assert_eq!(fault, ReadError::Decode(DecodeError { offset, fault: Fault::AfterTrailer }));
}
