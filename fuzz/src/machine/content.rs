use litefs_core::sqlite::journal::{MAGIC, page_checksum};
use litefs_core::{PageNumber, PageSize};

/// Bytes in a sector of a journal.
const SECTOR: usize = 512;

/// A page of a database: the first has its header, the others are filled with one byte.
pub(super) fn page(page_size: PageSize, number: PageNumber, fill: u8, page_count: u32, wal: bool) -> Vec<u8> {
    let mut content = vec![fill; page_size.bytes()];
    if number == PageNumber::FIRST {
        content[..16].copy_from_slice(b"SQLite format 3\0");
        let size = u16::try_from(page_size.get()).unwrap_or(1);
        content[16..18].copy_from_slice(&size.to_be_bytes());
        content[18..20].fill(if wal { 2 } else { 1 });
        content[24..28].fill(fill);
        content[28..32].copy_from_slice(&page_count.to_be_bytes());
        content[92..96].fill(fill);
    }
    content
}

/// A journal with these pages as they were, of a database that had `original` pages.
pub(super) fn journal(
    page_size: PageSize,
    original: u32,
    nonce: u32,
    pages: &[(PageNumber, Vec<u8>)],
    super_journal: Option<&[u8]>,
) -> Vec<u8> {
    let mut out = vec![0; SECTOR];
    out[..8].copy_from_slice(&MAGIC);
    let records = u32::try_from(pages.len()).unwrap_or(0);
    for (at, field) in [(8, records), (12, nonce), (16, original), (20, 512), (24, page_size.get())] {
        out[at..at + 4].copy_from_slice(&field.to_be_bytes());
    }
    for (number, content) in pages {
        out.extend_from_slice(&number.get().to_be_bytes());
        out.extend_from_slice(content);
        out.extend_from_slice(&page_checksum(nonce, content).to_be_bytes());
    }
    if let Some(name) = super_journal {
        out.extend_from_slice(&page_size.lock_page().get().to_be_bytes());
        out.extend_from_slice(name);
        out.extend_from_slice(&u32::try_from(name.len()).unwrap_or(0).to_be_bytes());
        let sum = name.iter().fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        out.extend_from_slice(&sum.to_be_bytes());
        out.extend_from_slice(&MAGIC);
    }
    out
}
