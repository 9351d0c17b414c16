use litefs_core::ChecksumHasher;
use litefs_core::ltx::{Header, Trailer};

/// Gives a file without compression the checksum that its content has, so that what lies behind that check is reached.
pub(crate) fn repair(file: &mut [u8]) {
    if file.len() < Header::LEN + Trailer::LEN {
        return;
    }
    let (content, checksum) = file.split_at_mut(file.len() - 8);
    let mut hasher = ChecksumHasher::new();
    hasher.update(content);
    checksum.copy_from_slice(&hasher.finish().get().to_be_bytes());
}
