use alloc::vec;
use alloc::vec::Vec;

use super::checked_pages::CheckedPages;
use super::context::Context;
use super::shm_lock::ShmLock;
use super::wal_batch::WalBatch;
use super::wal_index::WalIndex;
use super::{ApplyError, BackingFile, System, Trouble, wal_scan};
use crate::database::Applied;
use crate::read_at::read_exact;
use crate::sqlite::wal::{self, ByteOrder, FRAME_HEADER_LEN, WalChecksum, WalHeader};
use crate::sqlite::wal_index::Header;
use crate::{File as Kind, PageNumber, PageSize, WriteAt};

/// The one writer of a database's WAL, beside any number of readers.
///
/// While the value lives, it holds SQLite's WRITE and CHECKPOINT locks: no program can write or checkpoint. The owner
/// holds SHARED on the database file, so that no program that closes the database removes the WAL.
#[derive(Debug)]
pub(super) struct WalWriter<S: System> {
    pub(super) shm: ShmLock<S::Locks>,
    pub(super) index: WalIndex<S::Index>,
    /// The backing file.
    pub(super) wal: S::File,
    /// The file in the mount. While it is open the kernel knows the file, so that it can be told of changes.
    pub(super) _in_mount: S::Locks,
    /// Bytes in the file. The frames end before it.
    pub(super) wal_len: u64,
    /// What readers were shown last.
    pub(super) published: Header,
    /// The header of the WAL, once it has one of the generation that `published` is about.
    pub(super) generation: Option<WalHeader>,
    /// Whether there were transactions that their writer had not published.
    pub(super) found_unpublished: bool,
    /// Where the WAL gets so long that readers are waited for, in frames.
    pub(super) pause_at: u32,
}

/// The WAL file grows by this many bytes at a time. Its length must not move where readers are: the kernel would show
/// them zeros, or an end of file, in the middle of a page.
const CHUNK: u64 = 4 << 20;
/// Frames are written in pieces of about this many bytes.
const PIECE: usize = 256 << 10;

impl<S: System> WalWriter<S> {
    /// Frames in the WAL that readers may see.
    pub(super) fn frames(&self) -> u32 {
        self.published.max_frame
    }

    /// Bytes in a page of the WAL, if it has frames.
    pub(super) fn page_size(&self) -> Option<PageSize> {
        self.published.page_size.filter(|_| self.frames() > 0)
    }

    /// Whether there were transactions that their writer had not shown to readers.
    pub(super) fn found_unpublished(&self) -> bool {
        self.found_unpublished
    }

    /// The salts of the WAL and where its frames end, in bytes.
    pub(super) fn end(&self) -> ([u32; 2], u64) {
        let end = self.published.page_size.map_or(0, |size| wal::frame_offset(self.frames(), size));
        (self.published.salt, end)
    }

    /// Appends a transaction and shows it to readers. On an error nothing of it is visible. `complete` says that the
    /// pages must be all there are, `database` is the backing database file.
    pub(super) fn append(
        &mut self,
        context: &Context<S>,
        database: &S::File,
        pages: &mut CheckedPages<'_>,
        complete: bool,
    ) -> Result<Applied, ApplyError> {
        let (header, chain) = self.next_generation(context, pages.page_size())?;
        let mut batch =
            WalBatch { header, chain, start: 0, bytes: Vec::new(), finished: 0, frames: Vec::new() };
        if self.frames() == 0 {
            batch.bytes.extend_from_slice(&header.encode());
        } else {
            batch.start = wal::frame_offset(self.frames(), header.page_size);
        }
        let zeros = vec![0; header.page_size.bytes()];
        // A page that the database grows by may have had content before it shrank.
        let mut unwritten = if complete { u32::MAX } else { self.page_count(database, header.page_size)? };
        while let Some((page, content)) = pages.next()? {
            for page in (unwritten.saturating_add(1)..page.get()).filter_map(PageNumber::new) {
                self.push(context, &mut batch, page, &zeros)?;
            }
            unwritten = unwritten.max(page.get());
            self.push(context, &mut batch, page, content)?;
        }
        for page in (unwritten.saturating_add(1)..=pages.commit()).filter_map(PageNumber::new) {
            self.push(context, &mut batch, page, &zeros)?;
        }
        if complete {
            pages.check_complete()?;
        }
        if batch.frames.is_empty() {
            // Only the number of pages changes, and it takes a frame to say so.
            let mut content = vec![0; header.page_size.bytes()];
            self.read_page(database, PageNumber::FIRST, &mut content)?;
            batch.push(PageNumber::FIRST, &content);
        }
        self.finish(context, batch, pages.commit())
    }

    /// Writes the commit frame, after which nothing may fail that can be made to fail before.
    fn finish(
        &mut self,
        context: &Context<S>,
        mut batch: WalBatch,
        commit: u32,
    ) -> Result<Applied, ApplyError> {
        let frame_count = u32::try_from(batch.frames.len()).unwrap_or(u32::MAX);
        let Some(max_frame) = self.frames().checked_add(frame_count) else {
            return Err(ApplyError::WalIndex { block: 0, frame: u32::MAX });
        };
        self.reserve(context, max_frame)?;
        let commit_at = batch.commit(commit);
        let end = batch.start + batch.bytes.len() as u64;
        let pages: Vec<_> = batch.frames.iter().map(|(page, _)| *page).collect();
        let header = Header {
            change: self.published.change.wrapping_add(1),
            byte_order: batch.header.byte_order,
            page_size: Some(batch.header.page_size),
            max_frame,
            page_count: commit,
            frame_checksum: batch.chain,
            salt: batch.header.salt,
        };
        let published = self
            .write(context, &mut batch)
            .and_then(|()| self.index.append(self.frames() + 1, &pages))
            .and_then(|()| self.publish(header));
        if let Err(error) = published {
            self.withdraw(context, commit_at);
            return Err(error);
        }
        self.generation = Some(batch.header);
        Ok(Applied::Wal { header: batch.header, frames: batch.frames, end, chain: batch.chain })
    }

    /// Shows `header` to readers.
    pub(super) fn publish(&mut self, header: Header) -> Result<(), ApplyError> {
        self.index.publish(&header)?;
        self.published = header;
        Ok(())
    }

    /// The WAL was begun again: readers were shown `header`, and no frame counts.
    pub(super) fn begin_again(&mut self, header: Header) {
        self.published = header;
        self.generation = None;
    }

    /// Makes the WAL's content durable.
    pub(super) fn sync(&self) -> Result<(), ApplyError> {
        self.wal.sync_data().map_err(ApplyError::io("sync", Kind::Wal))
    }

    /// Gives the WAL up for good, all of it being in the database file, if no program has it open; else hands back the
    /// writer. The caller holds EXCLUSIVE on the database file.
    pub(super) fn retire(self, context: &Context<S>) -> Result<Option<Self>, ApplyError> {
        let lock = ApplyError::io("lock", Kind::Shm);
        if !self.shm.only_user().map_err(lock)? {
            return Ok(Some(self));
        }
        self.wal.set_len(0).map_err(ApplyError::io("empty", Kind::Wal))?;
        // Were the old frames to come back after a loss of power, they would hide what is written to the database next.
        self.wal.sync_all().map_err(ApplyError::io("sync", Kind::Wal))?;
        context.invalidate(Kind::Wal, 0..u64::MAX)?;
        Ok(None)
    }

    /// Reads a page as readers see it now.
    fn read_page(&self, database: &S::File, page: PageNumber, content: &mut [u8]) -> Result<(), ApplyError> {
        for frame in (1..=self.frames()).rev() {
            if self.index.page_of(frame)? == Some(page) {
                return self.read_frame(frame, content);
            }
        }
        let offset = u64::from(page.get() - 1) * content.len() as u64;
        read_exact(database, offset, content).map_err(ApplyError::io("read", Kind::Database))
    }

    /// Reads the page in a frame.
    pub(super) fn read_frame(&self, frame: u32, content: &mut [u8]) -> Result<(), ApplyError> {
        let size = self.published.page_size.unwrap_or(PageSize::MIN);
        let offset = wal::frame_offset(frame - 1, size) + FRAME_HEADER_LEN as u64;
        read_exact(&self.wal, offset, content).map_err(ApplyError::io("read", Kind::Wal))
    }

    /// The header of the WAL that the next frame goes to, and the checksum that frame continues.
    fn next_generation(
        &self,
        context: &Context<S>,
        page_size: PageSize,
    ) -> Result<(WalHeader, WalChecksum), ApplyError> {
        if let Some(generation) = self.generation {
            return Ok((generation, self.published.frame_checksum));
        }
        let mut salt = self.published.salt;
        if salt == [0, 0] {
            for half in &mut salt {
                *half = context.random("draw salts for", Kind::Wal)?;
            }
        }
        let found = wal_scan::read_header(&self.wal).map_err(ApplyError::io("read", Kind::Wal))?;
        let sequence = found.map_or(0, |found| found.checkpoint_sequence.wrapping_add(1));
        let header = WalHeader::new(ByteOrder::Little, page_size, sequence, salt);
        Ok((header, header.checksum))
    }

    /// Adds a frame to a batch and writes the ones before it once they are many.
    fn push(
        &mut self,
        context: &Context<S>,
        batch: &mut WalBatch,
        page: PageNumber,
        content: &[u8],
    ) -> Result<(), ApplyError> {
        if page == batch.header.page_size.lock_page() {
            return Ok(());
        }
        batch.push(page, content);
        if batch.finished >= PIECE { self.write(context, batch) } else { Ok(()) }
    }

    /// Pages of the database as readers see it now.
    fn page_count(&self, database: &S::File, page_size: PageSize) -> Result<u32, ApplyError> {
        if self.frames() > 0 {
            return Ok(self.published.page_count);
        }
        let len = database.len().map_err(ApplyError::io("look at", Kind::Database))?;
        Ok(u32::try_from(len / u64::from(page_size.get())).unwrap_or(u32::MAX))
    }

    /// Writes the finished frames of a batch, in the backing file first, then in the kernel's cache.
    fn write(&mut self, context: &Context<S>, batch: &mut WalBatch) -> Result<(), ApplyError> {
        let finished = core::mem::take(&mut batch.finished);
        self.grow(context, batch.start + finished as u64)?;
        let bytes = &batch.bytes[..finished];
        self.wal.write_at(batch.start, bytes).map_err(ApplyError::io("write", Kind::Wal))?;
        context.store(Kind::Wal, batch.start, bytes)?;
        batch.bytes.drain(..finished);
        batch.start += finished as u64;
        Ok(())
    }

    /// Makes the file so long that frames up to `end` bytes do not change its length where readers are.
    fn grow(&mut self, context: &Context<S>, end: u64) -> Result<(), ApplyError> {
        if end + CHUNK / 4 <= self.wal_len {
            return Ok(());
        }
        let len = (end / CHUNK + 2) * CHUNK;
        self.wal.set_len(len).map_err(ApplyError::io("grow", Kind::Wal))?;
        // Should the kernel not take note, a later call has to try again.
        self.wal_len = 0;
        context.resized(Kind::Wal)?;
        self.wal_len = len;
        Ok(())
    }

    pub(super) fn reserve(&mut self, context: &Context<S>, frame: u32) -> Result<(), ApplyError> {
        if self.index.reserve(frame)? {
            context.resized(Kind::Shm)?;
        }
        Ok(())
    }

    /// Takes a commit frame back that could not be published, lest a later recovery finds it.
    fn withdraw(&self, context: &Context<S>, commit_at: u64) {
        let zeros = [0; FRAME_HEADER_LEN];
        let result = self
            .wal
            .write_at(commit_at, &zeros)
            .map_err(ApplyError::io("write", Kind::Wal))
            .and_then(|()| context.store(Kind::Wal, commit_at, &zeros));
        if let Err(error) = result {
            context.report(Trouble::CommitLeft(&error));
        }
    }
}

/// The WAL is long here, in frames: from here on readers may be waited for.
pub(super) const PAUSE_AT: u32 = 4000;
