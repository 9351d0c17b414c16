use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt::Debug;

use super::SnapshotError;
use super::kept_pages::KeptPages;
use crate::drive::Driver;
use crate::read_at::read_exact;
use crate::sqlite::wal::FRAME_HEADER_LEN;
use crate::{Checksum, Disk, Errno, PageNumber, PageSize, PageSums, Position, ReadAt, WriteAt};

/// A file of one's own, to put aside what is still needed.
pub trait Scratch: WriteAt + Debug + Send + Sync + 'static {}

impl<T: WriteAt + Debug + Send + Sync + 'static> Scratch for T {}

/// The pages of a database as they were at one position, readable while the database goes on.
///
/// It takes no lock. Pages that change before they were read are kept aside in a scratch file.
#[derive(Debug)]
pub struct Image<F, S> {
    position: Position,
    page_size: PageSize,
    sums: PageSums,
    /// The frames of the WAL that held pages at that time, by offset in bytes.
    frames: BTreeMap<PageNumber, u64>,
    database: Option<F>,
    wal: Option<F>,
    kept: Arc<KeptPages<S>>,
}

impl<F: ReadAt, S: Scratch> Image<F, S> {
    /// Of the database as it is now, when no program is in a transaction in rollback mode and nothing is being applied.
    ///
    /// `database` and `wal` are the files there are at this moment, which stay readable under whatever name comes later.
    /// `scratch` is empty. The log is synced: nobody may have a transaction that this node can still lose.
    ///
    /// # Errors
    /// The log could not be made durable.
    pub fn take<D: Disk>(
        driver: &mut Driver<D>,
        database: Option<F>,
        wal: Option<F>,
        scratch: S,
    ) -> Result<Self, Errno> {
        driver.append_pending()?;
        driver.sync_log()?;
        let machine = driver.database();
        let page_size = machine.page_size().unwrap_or(PageSize::MIN);
        let kept = Arc::new(KeptPages::new(scratch, machine.page_count(), page_size));
        let image = Self {
            position: machine.position(),
            page_size,
            sums: machine.sums().clone(),
            frames: machine.wal_frames().collect(),
            database,
            wal,
            kept: Arc::clone(&kept),
        };
        driver.add_preserver(kept);
        Ok(image)
    }

    /// The moment.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Bytes in a page.
    pub fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// Pages of the database.
    pub fn page_count(&self) -> u32 {
        self.sums.page_count()
    }

    /// The checksum of the database.
    pub(super) fn checksum(&self) -> Checksum {
        self.sums.total()
    }

    /// Reads a page. Pages are read in ascending order.
    pub(super) fn read(&self, page: PageNumber, content: &mut [u8]) -> Result<(), SnapshotError> {
        self.find(page, content)?;
        self.kept.done(page);
        Ok(())
    }

    fn find(&self, page: PageNumber, content: &mut [u8]) -> Result<(), SnapshotError> {
        let expected = self.sums.get(page);
        // A page that a LiteFS primary left out of its transactions has no checksum, and is zeros.
        let is_expected = |content: &[u8]| match expected {
            Checksum::ZERO => content.iter().all(|byte| *byte == 0),
            expected => Checksum::of_page(page, content) == expected,
        };
        if let (Some(frame), Some(wal)) = (self.frames.get(&page), &self.wal) {
            let whole = read_exact(wal, frame + FRAME_HEADER_LEN as u64, content).is_ok();
            if whole && is_expected(content) {
                return Ok(());
            }
        }
        if !self.kept.load(page, content)? {
            self.read_database(page, content)?;
            if is_expected(content) {
                return Ok(());
            }
            // It may have changed between the two looks, and then it was kept.
            self.kept.load(page, content)?;
        }
        if is_expected(content) { Ok(()) } else { Err(SnapshotError::Lost { page, position: self.position }) }
    }

    /// Reads a page of the database file, zeros where that ends.
    fn read_database(&self, page: PageNumber, content: &mut [u8]) -> Result<(), Errno> {
        let found = match &self.database {
            Some(database) => database.read_at(self.page_size.offset_of(page), content)?,
            None => 0,
        };
        content[found..].fill(0);
        Ok(())
    }
}
