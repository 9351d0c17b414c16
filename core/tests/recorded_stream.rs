//! Streams that a LiteFS primary sent, from the first byte to the last: frames, chunks and the LTX files in them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use litefs_core::ltx::{self, Ltx};
use litefs_core::stream::{Chunk, ChunkReader, Frame, encode_chunks, encode_chunks_end};
use litefs_core::{Checksum, DatabaseName, NodeId, Txid};

const INCREMENTAL: &[u8] = include_bytes!("../testdata/stream/incremental");
const SNAPSHOT: &[u8] = include_bytes!("../testdata/stream/snapshot");

/// A frame and, of an LTX frame, the file that followed it.
struct Part {
    frame: Frame,
    file: Option<Vec<u8>>,
}

fn read(mut stream: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    while !stream.is_empty() {
        let (frame, used) = Frame::decode(stream).unwrap().expect("the stream ends within a frame");
        stream = &stream[used..];
        let file = matches!(frame, Frame::Ltx { .. }).then(|| read_file(&mut stream));
        parts.push(Part { frame, file });
    }
    parts
}

fn read_file(stream: &mut &[u8]) -> Vec<u8> {
    let (mut chunks, mut file) = (ChunkReader::new(), Vec::new());
    loop {
        match chunks.read(stream) {
            Chunk::Data { start, end } => {
                file.extend_from_slice(&stream[start..end]);
                *stream = &stream[end..];
            }
            Chunk::End { used } => {
                *stream = &stream[used..];
                return file;
            }
            Chunk::NeedsMore => panic!("the stream ends within a file"),
        }
    }
}

fn frames(parts: &[Part]) -> Vec<&Frame> {
    parts.iter().map(|part| &part.frame).collect()
}

fn file(parts: &[Part]) -> Ltx {
    let files: Vec<_> = parts.iter().filter_map(|part| part.file.as_deref()).collect();
    let [file] = files[..] else { panic!("{} files in the stream, expected one", files.len()) };
    ltx::decode_all(file).unwrap()
}

fn name(text: &str) -> DatabaseName {
    DatabaseName::new(text).unwrap()
}

#[test]
fn recorded_transaction_is_read_and_written_again_byte_for_byte() {
    let parts = read(INCREMENTAL);
    let heartbeat = |timestamp_ms| Frame::Heartbeat { timestamp_ms };
    assert_eq!(
        frames(&parts),
        [
            &Frame::DropDatabase { database: name("gone.db") },
            &Frame::Ltx { database: name("db") },
            &Frame::HighWater { txid: Txid::ZERO, database: name("db") },
            &Frame::Ready,
            &heartbeat(0x01a2_0262_325c),
            &heartbeat(0x01a2_0262_3643),
            &heartbeat(0x01a2_0262_3a2b),
        ]
    );
    let ltx = file(&parts);
    assert_eq!((ltx.header.min_txid, ltx.header.max_txid), (Txid::new(2), Txid::new(2)));
    assert_eq!(ltx.header.pre_apply, Checksum::new(0xf950_800d_3b9f_f043));
    assert_eq!(ltx.header.node_id, NodeId::new(0x0be3_2085_2554_6365));
    assert_eq!(ltx.pages.len(), 2);
    assert_eq!(ltx.trailer.post_apply, Checksum::new(0xf07b_7dc7_701d_41ba));

    let mut written = Vec::new();
    for part in &parts {
        part.frame.encode(&mut written);
        if let Some(file) = &part.file {
            encode_chunks(file, &mut written);
            encode_chunks_end(&mut written);
        }
    }
    assert!(written == INCREMENTAL);
}

#[test]
fn recorded_snapshot_in_many_chunks_is_read() {
    let parts = read(SNAPSHOT);
    assert_eq!(frames(&parts)[..2], [&Frame::Ltx { database: name("db") }, &Frame::Ready]);
    let ltx = file(&parts);
    assert!(ltx.header.is_snapshot());
    assert_eq!(ltx.header.max_txid, Txid::new(2));
    assert_eq!(ltx.header.pre_apply, Checksum::ZERO);
    // The same database as after the recorded transaction.
    assert_eq!(ltx.trailer.post_apply, Checksum::new(0xf07b_7dc7_701d_41ba));
    assert_eq!(ltx.pages.len(), ltx.header.commit as usize);
}
