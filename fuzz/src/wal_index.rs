use litefs_core::PageNumber;
use litefs_core::sqlite::wal_index::{self, BLOCK_BYTES, HEADER_LEN, Header, SLOTS};

/// A header of the wal-index, and behind it the number of a frame and of a page.
pub fn wal_index(data: &[u8]) {
    let Some((header, rest)) = data.split_first_chunk::<HEADER_LEN>() else { return };
    if let Some(header) = Header::decode(header) {
        assert_eq!(Header::decode(&header.encode()), Some(header));
    }
    let Some((frame, rest)) = rest.split_first_chunk() else { return };
    let frame = u32::from_be_bytes(*frame).max(1);
    let block = wal_index::block_of(frame);
    let index = (frame - wal_index::first_frame(block)) as usize;
    assert!(index < wal_index::frames_in(block));
    let offset = wal_index::page_offset(frame);
    let slots = wal_index::slots_offset(block);
    assert!(block * BLOCK_BYTES <= offset && offset + 4 <= slots, "frame {frame} at {offset}");
    assert_eq!(slots + SLOTS * 2, (block + 1) * BLOCK_BYTES);
    let page = rest.first_chunk().and_then(|page| PageNumber::new(u32::from_be_bytes(*page)));
    assert!(page.is_none_or(|page| wal_index::slot_of(page) < SLOTS));
}
