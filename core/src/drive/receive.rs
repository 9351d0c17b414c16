//! Transactions from elsewhere.

use super::Driver;
use crate::database::{Admission, Applied, ApplyError, Received, StopReason};
use crate::log::WalCoverage;
use crate::{Disk, Errno, PageNumber, Position, ReadAt};

impl<D: Disk> Driver<D> {
    /// Takes a verified LTX file from elsewhere into the log. Its pages are to be written next, and then
    /// [`Self::applied`] called; if the node dies in between, recovery writes them.
    ///
    /// # Errors
    /// The transaction does not fit here, or the log cannot take it; nothing changed.
    pub fn receive(
        &mut self,
        received: &Received,
        file: &dyn ReadAt,
        len: u64,
    ) -> Result<Admission, ApplyError> {
        let admission = self.database.admit(&received.header)?;
        if admission == Admission::Old {
            return Ok(admission);
        }
        self.database.verify(received)?;
        if !self.preservers.is_empty() {
            let shrunk = received.header.commit + 1..=self.database.page_count();
            let pages = received.sums.iter().map(|(page, _)| *page);
            self.preserve(pages.chain(shrunk.filter_map(PageNumber::new)).collect())?;
        }
        self.append_pending()?;
        self.log
            .append_received(&self.disk, &received.header, received.post_apply, file, len)
            .map_err(|error| ApplyError::Disk(self.refuse(error)))?;
        if admission == Admission::Snapshot {
            // Recovery starts from the snapshot, and what was saved is of another history.
            self.base = Position::ZERO;
        }
        Ok(admission)
    }

    /// The pages of the transaction that [`Self::receive`] took are written.
    ///
    /// # Errors
    /// The log could not note which WAL they are in; the database stops, and recovery goes on from the log.
    pub fn applied(&mut self, received: &Received, applied: Applied) -> Result<(), Errno> {
        if let Applied::Wal { header, end, .. } = &applied {
            // On a replica all that ever comes into the WAL is in the log before; on a primary, this much is.
            let end = if self.database.is_read_only() { u64::MAX } else { *end };
            let mark = WalCoverage { salt: header.salt, end };
            if self.log.coverage() != Some(mark)
                && let Err(error) = self.log.append_mark(&self.disk, mark)
            {
                let errno = self.refuse(error);
                self.database.stop(StopReason::Unapplied(errno));
                return Err(errno);
            }
        }
        self.database.applied(received, applied);
        Ok(())
    }
}
