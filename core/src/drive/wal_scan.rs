//! Reading back which transactions a WAL holds.

use alloc::vec::Vec;

use crate::sqlite::wal::{self, FrameHeader, WalHeader};
use crate::{Checksum, Errno, File, Mistake, PageNumber, Planted, View};

/// A transaction found in a WAL.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WalTransaction {
    /// Where its first frame begins, in bytes.
    pub(super) start: u64,
    /// Where its last frame ends, in bytes.
    pub(super) end: u64,
    /// Pages of the database after it.
    pub(super) commit: u32,
    /// The last frame of each page, ascending by page: its offset in bytes and the page's checksum.
    pub(super) frames: Vec<(PageNumber, u64, Checksum)>,
}

/// The WAL's header and its committed transactions, oldest first; `None` if SQLite would take the WAL for empty.
///
/// # Errors
/// What the disk answered. `EFBIG` if a transaction makes the database larger than it can.
pub(super) fn scan<V: View>(
    view: &V,
    planted: Planted,
) -> Result<Option<(WalHeader, Vec<WalTransaction>)>, Errno> {
    let mut head = [0; wal::HEADER_LEN];
    let read = view.read_at(File::Wal, 0, &mut head)?;
    let Ok(header) = WalHeader::decode(&head[..read]) else { return Ok(None) };
    let mut content = alloc::vec![0; wal::FRAME_HEADER_LEN + header.page_size.bytes()];
    let mut transactions = Vec::new();
    let mut frames: Vec<(PageNumber, u64, Checksum)> = Vec::new();
    let mut chain = header.checksum;
    let mut start = wal::HEADER_LEN as u64;
    let mut at = start;
    let in_file = view.len(File::Database)?.unwrap_or(0) / u64::from(header.page_size.get());
    while view.read_at(File::Wal, at, &mut content)? == content.len() {
        let (head, page) = content.split_at(wal::FRAME_HEADER_LEN);
        let unchecked = planted.makes(Mistake::IgnoresFrameChecksums);
        let continues = |frame: &FrameHeader| {
            frame.continues(&header, chain, page) || unchecked && frame.salt == header.salt
        };
        let Some(frame) = FrameHeader::decode(head).filter(continues) else {
            break;
        };
        frames.push((frame.page, at, Checksum::of_page(frame.page, page)));
        chain = frame.checksum;
        at += content.len() as u64;
        if frame.commit != 0 {
            // All frames count: what the database grew by before may not have reached its file.
            let frames_so_far = usize::try_from(at / content.len() as u64).unwrap_or(usize::MAX);
            if u64::from(frame.commit) > in_file + header.page_size.max_growth(frames_so_far) {
                return Err(Errno::EFBIG);
            }
            frames.sort_by_key(|(page, offset, _)| (*page, core::cmp::Reverse(*offset)));
            frames.dedup_by_key(|(page, ..)| *page);
            let frames = core::mem::take(&mut frames);
            transactions.push(WalTransaction { start, end: at, commit: frame.commit, frames });
            start = at;
        }
    }
    Ok(Some((header, transactions)))
}
