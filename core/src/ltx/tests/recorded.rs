use alloc::vec;
use alloc::vec::Vec;

use super::*;

fn reencode(ltx: &Ltx) -> Vec<u8> {
    let mut encoder = Encoder::new(ltx.header).unwrap();
    for (number, content) in &ltx.pages {
        encoder.page(*number, content).unwrap();
    }
    assert_eq!(encoder.finish(ltx.trailer.post_apply), Ok(ltx.trailer));
    core::mem::take(encoder.output())
}

#[test]
fn drop_decodes_and_encodes_to_the_same_bytes() {
    let ltx = decode_all(DROP_UNCOMPRESSED).unwrap();
    assert_eq!(ltx.header, Header { commit: 0, node_id: NodeId::new(0x0123_4567_89ab_cdef), ..header() });
    assert_eq!(ltx.pages, []);
    assert_eq!(ltx.trailer.post_apply, Checksum::EMPTY);
    assert_eq!(ltx.trailer.file_checksum, Checksum::new(0xcda2_ca23_70fe_5dba));
    assert_eq!(reencode(&ltx), DROP_UNCOMPRESSED);
}

#[test]
fn compressed_drop_decodes_and_encodes_to_the_same_bytes() {
    let ltx = decode_all(DROP).unwrap();
    assert!(ltx.header.compressed);
    assert_eq!(ltx.header.max_txid, Txid::new(4));
    assert_eq!(reencode(&ltx), DROP);
}

#[test]
fn first_transaction_is_a_snapshot_of_one_page() {
    let ltx = decode_all(FIRST_TRANSACTION).unwrap();
    assert!(ltx.header.is_snapshot());
    assert_eq!(ltx.header.timestamp_ms, 1_795_337_722_818);
    assert_eq!(ltx.header.node_id, NodeId::new(0x0a2c_ea1b_b5f5_9bb6));
    assert_eq!(ltx.trailer.post_apply, Checksum::new(0xd3c3_4290_0648_1a7a));
    let [(number, content)] = &ltx.pages[..] else { panic!("{} pages", ltx.pages.len()) };
    assert_eq!(Checksum::of_page(*number, content), ltx.trailer.post_apply);
    assert!(content.starts_with(b"SQLite format 3\0\x02\0\x02\x02"));
    assert_eq!(decode_all(&reencode(&ltx)), Ok(ltx));
}

#[test]
fn wal_transaction_says_where_in_the_wal_it_was() {
    let ltx = decode_all(WAL_TRANSACTION).unwrap();
    let Header { wal_offset, wal_size, wal_salt, pre_apply, .. } = ltx.header;
    assert_eq!((wal_offset, wal_size, wal_salt), (1104, 536, [0x507f_c407, 0xc45b_d0d1]));
    let [(number, content)] = &ltx.pages[..] else { panic!("{} pages", ltx.pages.len()) };
    assert_eq!(*number, page_number(2));
    let page = Checksum::of_page(*number, content);
    assert_eq!(page, Checksum::new(0xd593_4fde_4468_a674));
    let replaced = Checksum::new(0x891b_1869_2ed9_9002);
    assert_eq!(pre_apply.toggle(replaced).toggle(page), ltx.trailer.post_apply);
    assert_eq!(decode_all(&reencode(&ltx)), Ok(ltx));
}

#[test]
fn checksums_have_the_values_that_others_compute() {
    let of = |number, size: usize, fill| Checksum::of_page(page_number(number), &vec![fill; size]).get();
    assert_eq!(of(1, 512, 1), 0xe4e4_aaa1_0237_7eee);
    assert_eq!(of(2, 512, 2), 0xc9c9_5542_3104_4ddd);
    assert_eq!(of(1, 512, 3), 0xc24e_177c_dfea_a333);
    let empty_pages = [
        (512, 0xef63_e89f_ecd9_9000),
        (1024, 0xacc7_c924_7baa_28bf),
        (2048, 0xbe20_9aa9_99f5_c0f9),
        (4096, 0xf790_1e47_304c_a33f),
        (8192, 0xea4a_481a_b0ff_dea3),
        (16384, 0x97d7_7866_eb52_44ba),
        (32768, 0x9bc8_7617_2712_89ec),
        (65536, 0xfa5e_2a4d_fdf1_2cb0),
    ];
    for (size, sum) in empty_pages {
        assert_eq!(of(2, size, 0), sum, "{size} bytes");
    }
    let rolling = |pages: &[(u32, usize, u8)]| {
        let sums = pages.iter().map(|(number, size, fill)| Checksum::new(of(*number, *size, *fill)));
        sums.fold(Checksum::EMPTY, Checksum::toggle).get()
    };
    assert_eq!(rolling(&[(1, 512, 1), (2, 512, 2)]), 0xad2d_ffe3_3333_3333);
    assert_eq!(rolling(&[(1, 512, 1), (2, 512, 2), (3, 512, 3)]), 0xefff_ffff_ecd9_9000);
    assert_eq!(rolling(&[(1, 512, 3), (2, 512, 2)]), 0x8b87_423e_eeee_eeee);
    assert_eq!(rolling(&[(1, 1024, b'2'), (2, 1024, b'3')]), 0xe189_9b6d_587a_aaaa);
}

#[test]
fn written_file_has_the_checksum_that_others_compute() {
    let file = encode(snapshot(1, 1), &[(1, 1)], 0xe4e4_aaa1_0237_7eee).unwrap();
    assert_eq!(file.len(), 636);
    assert_eq!(verify(&file).unwrap().1.file_checksum, Checksum::new(0xc646_4c27_7d04_75e7));
    let compressed = Header { compressed: true, timestamp_ms: 0, ..snapshot(2, 4) };
    let file = encode(compressed, &[(1, 3), (2, 2)], 0x8b87_423e_eeee_eeee).unwrap();
    assert_eq!(verify(&file).unwrap().1.file_checksum, Checksum::new(0xb8e6_a652_b0ec_8453));
}
