use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::database::Inspector;

/// A header and pages that make a valid file.
fn arbitrary_file() -> impl Strategy<Value = Ltx> {
    let pages = prop::collection::btree_map(1..40u32, any::<(u8, u8)>(), 0..12);
    (any::<bool>(), any::<bool>(), 9..14u32, pages, any::<i64>(), any::<u64>()).prop_map(
        |(compressed, is_snapshot, log_size, pages, timestamp_ms, node)| {
            let page_size = PageSize::new(1 << log_size).unwrap();
            let node_id = NodeId::new(node);
            let numbers = pages.keys().copied().collect::<Vec<_>>();
            let pages: Vec<_> = (1..)
                .zip(pages.into_values())
                .zip(numbers)
                .map(|((next, fill), number)| {
                    let number = page_number(if is_snapshot { next } else { number });
                    let content: Vec<u8> =
                        [fill.0, fill.1, fill.0].into_iter().cycle().take(page_size.bytes()).collect();
                    (number, content)
                })
                .collect();
            let base =
                if is_snapshot { snapshot(pages.len() as u32, 1) } else { Header { commit: 40, ..header() } };
            let header = Header { compressed, page_size, timestamp_ms, node_id, ..base };
            let sums = pages.iter().map(|(number, content)| Checksum::of_page(*number, content));
            let post_apply = sums.fold(Checksum::EMPTY, Checksum::toggle);
            Ltx { header, pages, trailer: Trailer { post_apply, file_checksum: Checksum::ZERO } }
        },
    )
}

proptest! {
    #[test]
    fn file_decodes_to_what_was_encoded_however_it_is_cut(mut ltx in arbitrary_file(), cut in 1..5000usize) {
        let mut encoder = Encoder::new(ltx.header).unwrap();
        let mut file = Vec::new();
        for (number, content) in &ltx.pages {
            encoder.page(*number, content).unwrap();
            file.append(encoder.output());
        }
        ltx.trailer = encoder.finish(ltx.trailer.post_apply).unwrap();
        file.append(encoder.output());
        prop_assert_eq!(&decode_all(&file).unwrap(), &ltx);

        let (mut decoder, mut inspector) = (Decoder::new(), Inspector::default());
        let (mut pages, mut fed) = (Vec::new(), 0);
        while let Some(piece) = file.get(fed..file.len().min(fed + cut)).filter(|piece| !piece.is_empty()) {
            decoder.feed(piece);
            inspector.feed(piece).unwrap();
            fed += piece.len();
            while let Some(item) = decoder.next().unwrap() {
                if let Item::Page { number, data } = item {
                    pages.push((number, data.to_vec()));
                }
            }
        }
        prop_assert_eq!(decoder.finish(), Ok((ltx.header, ltx.trailer)));
        let sums = pages.iter().map(|(number, content)| (*number, Checksum::of_page(*number, content)));
        let received = inspector.finish().unwrap();
        prop_assert_eq!(received.sums, sums.collect::<Vec<_>>());
        prop_assert_eq!((received.header, received.post_apply), (ltx.header, ltx.trailer.post_apply));
        prop_assert_eq!(pages, ltx.pages);
    }

    #[test]
    fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0..400usize) {
        // Behind a valid header, since nothing else gets far.
        let compressed = bytes.first().is_some_and(|byte| byte & 1 == 1);
        let mut file = Header { compressed, ..header() }.encode().to_vec();
        file.extend_from_slice(&bytes);
        prop_assert!(verify(&file).is_err());
        let _ = verify(&bytes[cut.min(bytes.len())..]);
    }
}
