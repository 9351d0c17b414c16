use crate::log::Stored;
use crate::{Errno, File, ReadAt, View};

/// Reads an LTX file in the log as bytes.
#[derive(Debug)]
pub struct StoredFile<'a, D> {
    disk: &'a D,
    stored: Stored,
}

impl<'a, D: View> StoredFile<'a, D> {
    /// The file that `stored` names.
    pub fn new(disk: &'a D, stored: Stored) -> Self {
        Self { disk, stored }
    }
}

impl<D: View> ReadAt for StoredFile<'_, D> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let rest = usize::try_from(self.stored.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let want = buf.len().min(rest);
        self.disk.read_at(File::Segment(self.stored.segment), self.stored.offset + offset, &mut buf[..want])
    }
}
