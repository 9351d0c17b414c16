use litefs_core::ltx::{self, DecodeError, Decoder, Encoder, Header, Item, Ltx, Trailer};

use crate::repair::repair;

/// An LTX file, behind a byte that says how it is fed: bit 0 repairs the checksum, the others are the size of pieces.
pub fn ltx_decode(data: &[u8]) {
    let Some((control, file)) = data.split_first() else { return };
    let mut file = file.to_vec();
    if control & 1 != 0 {
        repair(&mut file);
    }
    let whole = ltx::verify(&file);
    assert_eq!(whole, verify_in_pieces(&file, usize::from(control >> 1) + 1), "pieces differ from the whole");
    let decoded = ltx::decode_all(&file);
    match (whole, decoded) {
        (Ok(_), Ok(decoded)) => check_round_trip(&decoded),
        (Err(expected), Err(found)) => assert_eq!(found, expected),
        (whole, decoded) => panic!("verified as {whole:?}, decoded as {decoded:?}"),
    }
}

fn verify_in_pieces(file: &[u8], piece: usize) -> Result<(Header, Trailer), DecodeError> {
    let mut decoder = Decoder::new();
    let (mut header, mut trailer, mut pages) = (None, None, 0u64);
    for piece in file.chunks(piece) {
        decoder.feed(piece);
        while let Some(item) = decoder.next()? {
            match item {
                Item::Header(found) => assert_eq!(header.replace(found), None, "a second header"),
                Item::Page { data, .. } => {
                    pages += data.len() as u64;
                    // A compressed byte stands for at most 255.
                    assert!(pages <= file.len() as u64 * 255, "{pages} bytes of pages from {}", file.len());
                }
                Item::End(found) => assert_eq!(trailer.replace(found), None, "a second trailer"),
            }
        }
    }
    decoder.finish()?;
    match header.zip(trailer) {
        Some(parts) => Ok(parts),
        None => panic!("a complete file without header or trailer"),
    }
}

/// What was read is written, either way, so that it reads the same.
fn check_round_trip(ltx: &Ltx) {
    for compressed in [false, true] {
        let header = Header { compressed, ..ltx.header };
        let file = match encode(header, ltx) {
            Ok(file) => file,
            Err(error) => panic!("a file that was read cannot be written: {error}"),
        };
        match ltx::decode_all(&file) {
            Ok(again) => {
                assert_eq!(again.header, header);
                assert_eq!(again.pages, ltx.pages);
                assert_eq!(again.trailer.post_apply, ltx.trailer.post_apply);
            }
            Err(error) => panic!("a file that was written cannot be read: {error}"),
        }
    }
}

fn encode(header: Header, ltx: &Ltx) -> Result<Vec<u8>, ltx::EncodeError> {
    let mut encoder = Encoder::new(header)?;
    for (number, content) in &ltx.pages {
        encoder.page(*number, content)?;
    }
    encoder.finish(ltx.trailer.post_apply)?;
    Ok(std::mem::take(encoder.output()))
}
