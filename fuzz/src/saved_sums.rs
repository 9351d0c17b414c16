use litefs_core::{ChecksumHasher, SavedSums};

/// The file of page checksums, behind a byte whose bit 0 gives it the checksum that its content has.
pub fn saved_sums(data: &[u8]) {
    let Some((control, file)) = data.split_first() else { return };
    let mut file = file.to_vec();
    if control & 1 != 0 {
        repair(&mut file);
    }
    let Some(saved) = SavedSums::decode(&file) else { return };
    assert_eq!(saved.encode(), file, "what was read is not written so that it reads the same");
    assert_eq!(saved.sums.page_count() as usize, saved.sums.iter().count());
    for len in 0..file.len() {
        assert_eq!(SavedSums::decode(&file[..len]), None, "{len} of {} bytes", file.len());
    }
}

/// Gives the file the checksum that its content has.
pub(crate) fn repair(file: &mut [u8]) {
    let Some((content, checksum)) = file.split_last_chunk_mut::<8>() else { return };
    let mut hasher = ChecksumHasher::new();
    hasher.update(content);
    *checksum = hasher.finish().get().to_be_bytes();
}
