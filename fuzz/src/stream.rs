use litefs_core::stream::{
    Chunk, ChunkReader, Frame, PositionMapError, PositionMapReader, encode_chunks, encode_chunks_end,
    encode_position_map,
};

/// Frames of the replication stream, one after another.
pub fn stream_frame(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some((frame, len))) = Frame::decode(rest) {
        let (bytes, after) = rest.split_at(len);
        let mut encoded = Vec::new();
        frame.encode(&mut encoded);
        assert_eq!(encoded.len(), len);
        match frame {
            // The size field of this frame is not looked at.
            Frame::Ltx { .. } => assert_eq!(Frame::decode(&encoded), Ok(Some((frame, len)))),
            _ => assert_eq!(encoded, bytes),
        }
        for cut in 0..len {
            assert_eq!(Frame::decode(&bytes[..cut]), Ok(None), "{cut} of {len} bytes");
        }
        rest = after;
    }
}

/// A file in chunks, behind a byte that is the size of the pieces it arrives in.
pub fn chunked_body(data: &[u8]) {
    let Some((piece, body)) = data.split_first() else { return };
    let whole = read_chunks(body, body.len());
    assert_eq!(read_chunks(body, usize::from(*piece) + 1), whole, "pieces differ from the whole");
    let (file, end) = whole;
    let mut encoded = Vec::new();
    encode_chunks(&file, &mut encoded);
    encode_chunks_end(&mut encoded);
    let len = encoded.len();
    assert_eq!(read_chunks(&encoded, len), (file, Some(len)));
    assert!(end.is_none_or(|end| end <= body.len()));
}

/// The file, and where its end mark ended if there is one.
fn read_chunks(body: &[u8], piece: usize) -> (Vec<u8>, Option<usize>) {
    let (mut reader, mut file) = (ChunkReader::new(), Vec::new());
    let (mut used, mut arrived) = (0, 0);
    loop {
        match reader.read(&body[used..arrived]) {
            Chunk::Data { start, end } => {
                file.extend_from_slice(&body[used + start..used + end]);
                used += end;
            }
            Chunk::End { used: last } => return (file, Some(used + last)),
            Chunk::NeedsMore if arrived == body.len() => return (file, None),
            Chunk::NeedsMore => arrived = body.len().min(arrived + piece),
        }
    }
}

/// The positions of a replica, behind a byte that is the size of the pieces they arrive in.
pub fn position_map(data: &[u8]) {
    let Some((piece, body)) = data.split_first() else { return };
    let whole = read_positions(body, body.len().max(1));
    let pieces = read_positions(body, usize::from(*piece) + 1);
    match (whole, pieces) {
        (Ok((true, whole)), Ok((true, pieces))) => {
            let (whole, pieces) = (whole.into_positions(), pieces.into_positions());
            assert_eq!(whole, pieces, "pieces differ from the whole");
            let encoded = encode_position_map(&whole);
            let Ok((true, again)) = read_positions(&encoded, encoded.len()) else {
                panic!("a position map that was written cannot be read")
            };
            assert_eq!(again.into_positions(), whole);
        }
        (Ok((false, _)), Ok((false, _))) => {}
        (Err(whole), Err(pieces)) => assert_eq!(whole, pieces, "pieces differ from the whole"),
        (whole, pieces) => panic!("{whole:?} as a whole, {pieces:?} in pieces"),
    }
}

fn read_positions(body: &[u8], piece: usize) -> Result<(bool, PositionMapReader), PositionMapError> {
    let mut reader = PositionMapReader::new();
    let mut complete = false;
    for piece in body.chunks(piece) {
        complete = reader.feed(piece)?;
        if complete {
            break;
        }
    }
    Ok((complete, reader))
}
