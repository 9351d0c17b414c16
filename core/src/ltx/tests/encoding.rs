use super::*;

#[test]
fn each_misuse_of_the_encoder_is_refused_and_leaves_the_file_as_it_was() {
    let bad_header = Header { min_txid: Txid::ZERO, ..header() };
    assert!(matches!(Encoder::new(bad_header), Err(EncodeError::Header(HeaderError::NoTxid { .. }))));

    let mut encoder = Encoder::new(snapshot(2, 1)).unwrap();
    assert!(matches!(encoder.restart(bad_header), Err(EncodeError::Header(HeaderError::NoTxid { .. }))));
    let expected = EncodeError::PageLength { page: page_number(1), found: 511, expected: 512 };
    assert_eq!(encoder.page(page_number(1), &[0; 511]), Err(expected));
    let gap = encoder.page(page_number(2), &[0; 512]);
    assert_eq!(gap, Err(PageSequenceError::Gap { page: page_number(2), expected: 1 }.into()));
    encoder.page(page_number(1), &[1; 512]).unwrap();
    let early = encoder.finish(Checksum::EMPTY);
    assert_eq!(early, Err(PageSequenceError::Incomplete { expected: 2, commit: 2 }.into()));
    encoder.page(page_number(2), &[2; 512]).unwrap();
    let unflagged = Checksum::new(0x2d2d_ffe3_3333_3333);
    assert_eq!(encoder.finish(unflagged), Err(PostApplyError::Format { found: unflagged }.into()));
    encoder.finish(Checksum::new(0xad2d_ffe3_3333_3333)).unwrap();
    assert_eq!(encoder.page(page_number(2), &[2; 512]), Err(EncodeError::Finished));
    assert_eq!(encoder.finish(Checksum::EMPTY), Err(EncodeError::Finished));
    assert_eq!(verify(encoder.output()).unwrap().0, snapshot(2, 1));

    let found = Checksum::new(0x8000_0000_0000_0001);
    let deleted = encode(Header { commit: 0, ..header() }, &[], found.get());
    assert_eq!(deleted, Err(PostApplyError::Deleted { found }.into()));
}

#[test]
fn restarted_encoder_writes_what_a_new_one_does() {
    let first = Header { compressed: true, ..header() };
    let mut encoder = Encoder::new(first).unwrap();
    encoder.page(page_number(1), &[9; 512]).unwrap();
    for compressed in [false, true] {
        let header = Header { compressed, ..snapshot(2, 1) };
        encoder.restart(header).unwrap();
        encoder.page(page_number(1), &[1; 512]).unwrap();
        encoder.page(page_number(2), &[2; 512]).unwrap();
        encoder.finish(Checksum::new(0xad2d_ffe3_3333_3333)).unwrap();
        assert_eq!(Ok(encoder.output().clone()), encode(header, &[(1, 1), (2, 2)], 0xad2d_ffe3_3333_3333));
    }
}
