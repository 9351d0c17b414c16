use alloc::vec::Vec;

use crate::sqlite::wal;
use crate::{Checksum, Errno, File, PageNumber, PageSize, Position, View, ltx};

/// A committed transaction whose pages still lie in the database's own files: a plan for one LTX file.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// The header of the LTX file.
    pub header: ltx::Header,
    /// The changed pages, ascending, without the lock page.
    pub pages: Vec<(PageNumber, PageSource)>,
    /// The checksum of the database after the transaction.
    pub post_apply: Checksum,
}

/// Where a page of a transaction can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSource {
    /// In the database file, at its place; zeros where the file ends before it.
    Database,
    /// In the WAL, as the page of the frame that begins at this offset in bytes.
    Frame(u64),
}

impl PageSource {
    /// Reads the page into `content`, which is as long as a page; where the file ends before it, the rest is zeros.
    /// Returns how many bytes the file had.
    ///
    /// # Errors
    /// What the disk answered.
    pub fn read<V: View>(
        self,
        view: &V,
        page_size: PageSize,
        page: PageNumber,
        content: &mut [u8],
    ) -> Result<usize, Errno> {
        let (file, offset) = match self {
            Self::Database => (File::Database, page_size.offset_of(page)),
            Self::Frame(frame) => (File::Wal, frame + wal::FRAME_HEADER_LEN as u64),
        };
        let read = view.read_at(file, offset, content)?;
        content[read..].fill(0);
        Ok(read)
    }

    /// The checksum of the page.
    ///
    /// # Errors
    /// What the disk answered.
    pub fn checksum<V: View>(
        self,
        view: &V,
        page_size: PageSize,
        page: PageNumber,
    ) -> Result<Checksum, Errno> {
        let mut content = alloc::vec![0; page_size.bytes()];
        self.read(view, page_size, page, &mut content)?;
        Ok(Checksum::of_page(page, &content))
    }
}

impl Transaction {
    /// The position after the transaction.
    pub fn position(&self) -> Position {
        Position { txid: self.header.max_txid, checksum: self.post_apply }
    }
}
