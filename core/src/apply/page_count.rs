//! The number of pages that the wal-index says a database has.

use super::applier::{Applier, read_header};
use super::shm_lock::ShmLock;
use super::wal_index::WalIndex;
use super::{ApplyError, System};
use crate::File as Kind;
use crate::sqlite::header::DatabaseHeader;
use crate::sqlite::wal_index::Header;

impl<S: System> Applier<S> {
    /// Has the wal-index say how many pages the database has while the WAL is empty, as it does after SQLite began the
    /// WAL again. Where it does not, because it was just set up, each transaction asks for the length of the database
    /// file, and the kernel asks the daemon. True when programs see the number from now on.
    ///
    /// Readers with a transaction must not find another header when they begin to write, or they could not. So this
    /// does nothing while there is one, and never waits. A writer is a reader first, and lets go of that for a moment in
    /// its first transaction, when it begins the WAL: it would look for the header that it knows for seconds, and fail.
    ///
    /// # Errors
    /// What the kernel or the disk answered.
    pub fn show_page_count(&mut self) -> Result<bool, ApplyError> {
        let lock = || ApplyError::io("lock", Kind::Shm);
        if self.wal.is_some() || self.held || self.context.backing_len(Kind::Wal)? > 0 {
            return Ok(false);
        }
        let shm = ShmLock::new(self.context.open_in_mount(Kind::Shm)?);
        // Whoever comes when nobody uses the wal-index must set it up anew.
        if !shm.user().map_err(lock())? || !shm.has_users().map_err(lock())? {
            return Ok(false);
        }
        let Some(_nobody_reads) = shm.all_readers().map_err(lock())? else { return Ok(false) };
        // Only after that: nobody who comes now gets as far as to find the lock of the writers taken.
        if !shm.write().map_err(lock())? {
            return Ok(false);
        }
        let index = WalIndex::new(self.context.open_index()?);
        let found = index.header()?.filter(lacks_page_count);
        let database = self.context.open_backing(Kind::Database)?;
        let page_size = read_header(&database)?.filter(DatabaseHeader::is_wal).map(|header| header.page_size);
        let (Some(found), Some(page_size), 0) = (found, page_size, self.context.backing_len(Kind::Wal)?)
        else {
            return Ok(false);
        };
        let len = self.context.backing_len(Kind::Database)?;
        let page_count = u32::try_from(len / u64::from(page_size.get())).unwrap_or(0);
        let change = found.change.wrapping_add(1);
        index.publish(&Header { change, page_size: Some(page_size), page_count, ..found })?;
        Ok(true)
    }
}

/// Whether readers that see this header have to ask for the length of the database file.
pub fn lacks_page_count(header: &Header) -> bool {
    header.max_frame == 0 && header.page_count == 0
}
