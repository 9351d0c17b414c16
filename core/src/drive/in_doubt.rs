//! Transactions whose writer died before it could show them to others.

use super::Driver;
use crate::sqlite::{wal, wal_index};
use crate::{Disk, File};

/// Committed transactions at the end of the WAL that the wal-index lacks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InDoubt {
    /// The salts of the WAL.
    pub salt: [u32; 2],
    /// Where the committed frames end, in bytes.
    pub end: u64,
}

impl<D: Disk> Driver<D> {
    /// Transactions that are to be published for their writer, where a later writer was refused because of them. With
    /// `look`, also where no writer has tried yet. Asking forgets the refusal.
    pub fn take_in_doubt(&mut self, look: bool) -> Option<InDoubt> {
        let refused = self.database.take_in_doubt();
        if !refused && !look {
            return None;
        }
        let (salt, end) = self.database.wal_end()?;
        let in_doubt = InDoubt { salt, end };
        self.is_unpublished(in_doubt, refused).then_some(in_doubt)
    }

    /// Whether the wal-index ends before the committed frames of this WAL do. Where it has another WAL, `refused`
    /// decides: it can be one that is about to begin, or the one before. A wal-index that is not valid shows nothing to
    /// anybody, and whoever needs it sets it up anew from the WAL.
    fn is_unpublished(&self, in_doubt: InDoubt, refused: bool) -> bool {
        let mut head = [0; wal_index::HEADER_LEN];
        let read = self.disk.read_at(File::Shm, 0, &mut head);
        let (Ok(wal_index::HEADER_LEN), Some(header)) = (read, wal_index::Header::decode(&head)) else {
            return false;
        };
        match header.page_size.filter(|_| header.salt == in_doubt.salt) {
            Some(page_size) => wal::frame_offset(header.max_frame, page_size) < in_doubt.end,
            None => refused,
        }
    }
}
