use litefs_core::sqlite::wal::{self, FRAME_HEADER_LEN, FrameHeader, HEADER_LEN, WalHeader};

/// A WAL: its header, and the chain of valid frames behind it.
pub fn wal_scan(data: &[u8]) {
    let Ok(header) = WalHeader::decode(data) else { return };
    assert_eq!(header.encode()[..], data[..HEADER_LEN]);
    let WalHeader { byte_order, page_size, checkpoint_sequence, salt, .. } = header;
    assert_eq!(WalHeader::new(byte_order, page_size, checkpoint_sequence, salt), header);

    let mut chain = header.checksum;
    let frames = data[HEADER_LEN..].chunks_exact(FRAME_HEADER_LEN + page_size.bytes());
    for (index, bytes) in (0..).zip(frames) {
        let (head, content) = bytes.split_at(FRAME_HEADER_LEN);
        let Some(frame) = FrameHeader::decode(head) else { return };
        assert_eq!(frame.encode()[..], *head);
        let offset = wal::frame_offset(index, page_size);
        assert_eq!(data[offset as usize..][..FRAME_HEADER_LEN], *head);
        if !frame.continues(&header, chain, content) {
            return;
        }
        assert_eq!(FrameHeader::new(&header, chain, frame.page, frame.commit, content), frame);
        chain = frame.checksum;
    }
}
