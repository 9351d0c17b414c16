/// Bytes of a segment's header: magic `LFSLOG01` and the segment's number, big-endian.
pub const SEGMENT_HEADER_LEN: usize = 16;

const MAGIC: [u8; 8] = *b"LFSLOG01";

/// The header of segment `number`.
pub(super) fn header(number: u64) -> [u8; SEGMENT_HEADER_LEN] {
    let mut out = [0; SEGMENT_HEADER_LEN];
    out[..8].copy_from_slice(&MAGIC);
    out[8..].copy_from_slice(&number.to_be_bytes());
    out
}
