use litefs_core::sqlite::header::DatabaseHeader;
use litefs_core::sqlite::journal::JournalReader;

/// A rollback journal, or the header of a database.
pub fn journal_scan(data: &[u8]) {
    if let Ok(header) = DatabaseHeader::decode(data) {
        assert!(header.valid_page_count().is_none_or(|count| count != 0));
    }
    let Ok(mut reader) = JournalReader::new(data, data.len() as u64, None) else { return };
    if let Ok(Some(name)) = reader.super_journal() {
        assert!(data.windows(name.len()).any(|window| window == name));
    }
    let (hot, original_len) = (reader.is_hot(), reader.original_len());
    assert!(hot || original_len == 0);
    let mut read = 0;
    while let Ok(Some((page, content))) = reader.next() {
        let end = u64::from(page.get()) * content.len() as u64;
        assert!(hot && end <= original_len, "page {page} ends at {end}, the database at {original_len}");
        read += content.len();
        assert!(read <= data.len(), "{read} bytes of pages in a journal of {}", data.len());
    }
    assert!(matches!(reader.next(), Ok(None)), "a journal that is over goes on");
}
