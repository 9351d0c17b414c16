use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use litefs_core::database::Applied;
use litefs_core::sqlite::wal::{self, ByteOrder, FRAME_HEADER_LEN, FrameHeader, WalChecksum, WalHeader};
use litefs_core::sqlite::wal_index::Header;
use litefs_core::{File as Kind, PageNumber, PageSize};

use super::checked_pages::CheckedPages;
use super::context::{Context, random};
use super::deadline::Deadline;
use super::shm_lock::ShmLock;
use super::shm_map::ShmMap;
use super::wal_index::{NOT_USED, WalIndex};
use super::wal_scan::{self, WalScan};
use super::{ApplyError, Lock};

/// The one writer of a database's WAL, beside any number of readers.
///
/// While the value lives, it holds SQLite's WRITE and CHECKPOINT locks: no program can write or checkpoint. The owner
/// holds SHARED on the database file, so that no program that closes the database removes the WAL.
#[derive(Debug)]
pub(super) struct WalWriter {
    pub(super) shm: ShmLock,
    pub(super) index: WalIndex,
    /// The backing file.
    pub(super) wal: File,
    /// The file in the mount, to see what length readers see.
    seen: File,
    /// Bytes in the file. The frames end before it.
    wal_len: u64,
    /// What readers were shown last.
    pub(super) published: Header,
    /// The header of the WAL, once it has one of the generation that `published` is about.
    generation: Option<WalHeader>,
    /// Whether there were transactions that their writer had not published.
    found_unpublished: bool,
    /// Where the WAL gets so long that readers are waited for, in frames.
    pub(super) pause_at: u32,
}

/// The WAL file grows by this many bytes at a time. Its length must not move where readers are: the kernel would show
/// them zeros, or an end of file, in the middle of a page.
const CHUNK: u64 = 4 << 20;
/// Longest time for the kernel to take note of a new length.
const RESIZE_MAX: Duration = Duration::from_secs(5);
/// Frames are written in pieces of about this many bytes.
const PIECE: usize = 256 << 10;

impl WalWriter {
    /// Becomes the writer of the WAL, which is created where it is missing.
    ///
    /// What other connections have published is taken over; where there is nothing, the wal-index is rebuilt from the
    /// WAL. Transactions that are whole in the WAL but were not published, because their writer died, are published.
    pub(super) fn attach(context: &Context, deadline: Deadline) -> Result<Self, ApplyError> {
        let shm = ShmLock::new(context.open_or_create_in_mount(Kind::Shm)?);
        let seen = context.open_or_create_in_mount(Kind::Wal)?;
        let lock = ApplyError::errno;
        if !deadline.wait_for(|| join(context, &shm))? {
            return Err(ApplyError::Busy(Lock::WalIndex));
        }
        let writer = deadline.wait_for(|| shm.write()).map_err(lock("lock", Kind::Shm))?;
        if !writer || !deadline.wait_for(|| shm.checkpoint()).map_err(lock("lock", Kind::Shm))? {
            return Err(ApplyError::Busy(Lock::Write));
        }
        let map = ShmMap::new(context.open_shm_to_map()?, 1).map_err(lock("map", Kind::Shm))?;
        let wal = context.open_backing(Kind::Wal)?;
        let wal_len = wal.metadata().map_err(ApplyError::io("look at", Kind::Wal))?.len();
        let published = Header::default();
        let index = WalIndex::new(map);
        let mut writer = Self {
            shm,
            index,
            wal,
            seen,
            wal_len,
            published,
            generation: None,
            found_unpublished: false,
            pause_at: PAUSE_AT,
        };
        if !writer.adopt()? {
            writer.recover(context, deadline)?;
        }
        writer.publish_unpublished(context)?;
        Ok(writer)
    }

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
        context: &Context,
        database: &File,
        pages: &mut CheckedPages<'_>,
        complete: bool,
    ) -> Result<Applied, ApplyError> {
        let (header, chain) = self.next_generation(pages.page_size())?;
        let mut batch = Batch { header, chain, start: 0, bytes: Vec::new(), finished: 0, frames: Vec::new() };
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
    fn finish(&mut self, context: &Context, mut batch: Batch, commit: u32) -> Result<Applied, ApplyError> {
        let frame_count = u32::try_from(batch.frames.len()).unwrap_or(u32::MAX);
        let Some(max_frame) = self.frames().checked_add(frame_count) else {
            return Err(ApplyError::WalIndex { block: 0, frame: u32::MAX });
        };
        self.reserve(context, max_frame)?;
        let commit_at = batch.commit(commit);
        let end = batch.start + batch.bytes.len() as u64;
        let published = self.write(context, &mut batch).and_then(|()| {
            let first = self.frames() + 1;
            (first..).zip(&batch.frames).try_for_each(|(frame, (page, _))| self.index.append(frame, *page))
        });
        if let Err(error) = published {
            self.withdraw(context, commit_at);
            return Err(error);
        }
        self.generation = Some(batch.header);
        self.publish(Header {
            change: self.published.change.wrapping_add(1),
            byte_order: batch.header.byte_order,
            page_size: Some(batch.header.page_size),
            max_frame,
            page_count: commit,
            frame_checksum: batch.chain,
            salt: batch.header.salt,
        });
        Ok(Applied::Wal { header: batch.header, frames: batch.frames, end, chain: batch.chain })
    }

    /// Shows `header` to readers.
    pub(super) fn publish(&mut self, header: Header) {
        self.index.publish(&header);
        self.published = header;
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
    pub(super) fn retire(self, context: &Context) -> Result<Option<Self>, ApplyError> {
        let lock = ApplyError::errno("lock", Kind::Shm);
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
    fn read_page(&self, database: &File, page: PageNumber, content: &mut [u8]) -> Result<(), ApplyError> {
        match (1..=self.frames()).rev().find(|frame| self.index.page_of(*frame) == Some(page)) {
            Some(frame) => self.read_frame(frame, content),
            None => {
                let offset = u64::from(page.get() - 1) * content.len() as u64;
                database.read_exact_at(content, offset).map_err(ApplyError::io("read", Kind::Database))
            }
        }
    }

    /// Reads the page in a frame.
    pub(super) fn read_frame(&self, frame: u32, content: &mut [u8]) -> Result<(), ApplyError> {
        let size = self.published.page_size.unwrap_or(PageSize::MIN);
        let offset = wal::frame_offset(frame - 1, size) + FRAME_HEADER_LEN as u64;
        self.wal.read_exact_at(content, offset).map_err(ApplyError::io("read", Kind::Wal))
    }

    /// Takes over what is published, if it agrees with the WAL.
    fn adopt(&mut self) -> Result<bool, ApplyError> {
        let Some(header) = self.index.header() else { return Ok(false) };
        if header.max_frame > 0 {
            let found = wal_scan::read_header(&self.wal).map_err(ApplyError::io("read", Kind::Wal))?;
            let Some(generation) = found.filter(|found| {
                found.salt == header.salt
                    && Some(found.page_size) == header.page_size
                    && found.byte_order == header.byte_order
            }) else {
                return Ok(false);
            };
            let mut last = [0; FRAME_HEADER_LEN];
            let offset = wal::frame_offset(header.max_frame - 1, generation.page_size);
            if offset + FRAME_HEADER_LEN as u64 > self.wal_len {
                return Ok(false);
            }
            self.wal.read_exact_at(&mut last, offset).map_err(ApplyError::io("read", Kind::Wal))?;
            let agrees = FrameHeader::decode(&last).is_some_and(|last| {
                last.salt == header.salt && last.checksum == header.frame_checksum && last.commit != 0
            });
            if !agrees {
                return Ok(false);
            }
            self.index.reserve(header.max_frame).map_err(ApplyError::errno("map", Kind::Shm))?;
            self.generation = Some(generation);
        }
        self.published = header;
        Ok(true)
    }

    /// Rebuilds the wal-index from the WAL, as SQLite does when a connection finds none.
    fn recover(&mut self, context: &Context, deadline: Deadline) -> Result<(), ApplyError> {
        let lock = || ApplyError::errno("lock", Kind::Shm);
        let mut recovering = None;
        let locked = deadline.wait_for(|| {
            recovering = self.shm.recover()?;
            Ok(recovering.is_some())
        });
        if !locked.map_err(lock())? {
            return Err(ApplyError::Busy(Lock::WalIndex));
        }
        let generation = wal_scan::read_header(&self.wal).map_err(ApplyError::io("read", Kind::Wal))?;
        // A connection that had seen another header with the same values would keep its cache.
        let change = random().map_err(ApplyError::errno("draw a random number for", Kind::Shm))?;
        let mut header = Header { change, ..Header::default() };
        let mut pages = Vec::new();
        if let Some(found) = generation {
            header.salt = found.salt;
            header.byte_order = found.byte_order;
            header.frame_checksum = found.checksum;
            let mut scan = WalScan::new(&self.wal, found, 0, found.checksum);
            while let Some(frame) = scan.next().map_err(ApplyError::io("read", Kind::Wal))? {
                pages.push(frame.page);
                if frame.commit != 0 {
                    header.max_frame = u32::try_from(pages.len()).unwrap_or(u32::MAX);
                    header.page_count = frame.commit;
                    header.page_size = Some(found.page_size);
                    header.frame_checksum = frame.chain;
                }
            }
            pages.truncate(header.max_frame as usize);
        }
        if self.index.reserve(header.max_frame.max(1)).map_err(ApplyError::errno("grow", Kind::Shm))? {
            context.resized(Kind::Shm)?;
        }
        self.index.rebuild(&pages);
        self.index.forget_checkpoint(header.max_frame);
        for mark in 1..=4 {
            if let Some(_alone) = self.shm.readers(mark).map_err(lock())? {
                let first = mark == 1 && header.max_frame > 0;
                self.index.set_mark(mark, if first { header.max_frame } else { NOT_USED });
            }
        }
        drop(recovering);
        self.generation = generation.filter(|_| header.max_frame > 0);
        self.publish(header);
        Ok(())
    }

    /// Publishes the transactions that are whole in the WAL after those that are published.
    ///
    /// Only accepted transactions ever get whole into the WAL, and each one accepted is the log's too.
    fn publish_unpublished(&mut self, context: &Context) -> Result<(), ApplyError> {
        let (generation, chain) = match self.generation {
            Some(generation) => (generation, self.published.frame_checksum),
            None => match wal_scan::read_header(&self.wal).map_err(ApplyError::io("read", Kind::Wal))? {
                // What was checkpointed before the WAL was restarted has the salt before this one.
                Some(found) if found.salt[0].wrapping_add(1) != self.published.salt[0] => {
                    (found, found.checksum)
                }
                _ => return Ok(()),
            },
        };
        let mut next = self.published;
        let mut pages = Vec::new();
        let mut committed = 0;
        let mut scan = WalScan::new(&self.wal, generation, self.frames(), chain);
        while let Some(frame) = scan.next().map_err(ApplyError::io("read", Kind::Wal))? {
            pages.push(frame.page);
            if frame.commit != 0 {
                committed = pages.len();
                next.page_count = frame.commit;
                next.frame_checksum = frame.chain;
            }
        }
        if committed == 0 {
            return Ok(());
        }
        next.max_frame = self.frames() + u32::try_from(committed).unwrap_or(u32::MAX);
        next.change = next.change.wrapping_add(1);
        next.page_size = Some(generation.page_size);
        next.byte_order = generation.byte_order;
        next.salt = generation.salt;
        self.reserve(context, next.max_frame)?;
        for (frame, page) in (self.frames() + 1..).zip(&pages[..committed]) {
            self.index.append(frame, *page)?;
        }
        self.generation = Some(generation);
        self.found_unpublished = true;
        self.publish(next);
        Ok(())
    }

    /// The header of the WAL that the next frame goes to, and the checksum that frame continues.
    fn next_generation(&self, page_size: PageSize) -> Result<(WalHeader, WalChecksum), ApplyError> {
        if let Some(generation) = self.generation {
            return Ok((generation, self.published.frame_checksum));
        }
        let mut salt = self.published.salt;
        if salt == [0, 0] {
            for half in &mut salt {
                *half = random().map_err(ApplyError::errno("draw salts for", Kind::Wal))?;
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
        context: &Context,
        batch: &mut Batch,
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
    fn page_count(&self, database: &File, page_size: PageSize) -> Result<u32, ApplyError> {
        if self.frames() > 0 {
            return Ok(self.published.page_count);
        }
        let len = database.metadata().map_err(ApplyError::io("look at", Kind::Database))?.len();
        Ok(u32::try_from(len / u64::from(page_size.get())).unwrap_or(u32::MAX))
    }

    /// Writes the finished frames of a batch, in the backing file first, then in the kernel's cache.
    fn write(&mut self, context: &Context, batch: &mut Batch) -> Result<(), ApplyError> {
        let finished = std::mem::take(&mut batch.finished);
        self.grow(context, batch.start + finished as u64)?;
        let bytes = &batch.bytes[..finished];
        self.wal.write_all_at(bytes, batch.start).map_err(ApplyError::io("write", Kind::Wal))?;
        context.store(Kind::Wal, batch.start, bytes)?;
        batch.bytes.drain(..finished);
        batch.start += finished as u64;
        Ok(())
    }

    /// Makes the file so long that frames up to `end` bytes do not change its length where readers are.
    fn grow(&mut self, context: &Context, end: u64) -> Result<(), ApplyError> {
        if end + CHUNK / 4 <= self.wal_len {
            return Ok(());
        }
        let len = (end / CHUNK + 2) * CHUNK;
        self.wal.set_len(len).map_err(ApplyError::io("grow", Kind::Wal))?;
        self.wal_len = len;
        let seen = Deadline::after(RESIZE_MAX).wait_for(|| {
            context.resized(Kind::Wal)?;
            let seen = self.seen.metadata().map_err(ApplyError::io("look at", Kind::Wal))?;
            Ok::<_, ApplyError>(seen.len() >= len)
        })?;
        if seen {
            return Ok(());
        }
        // A later call must wait again.
        self.wal_len = 0;
        Err(ApplyError::Io {
            action: "show the new length of",
            file: Kind::Wal,
            errno: litefs_core::Errno::ETIMEDOUT,
        })
    }

    fn reserve(&mut self, context: &Context, frame: u32) -> Result<(), ApplyError> {
        if self.index.reserve(frame).map_err(ApplyError::errno("grow", Kind::Shm))? {
            context.resized(Kind::Shm)?;
        }
        Ok(())
    }

    /// Takes a commit frame back that could not be published, lest a later recovery finds it.
    fn withdraw(&self, context: &Context, commit_at: u64) {
        let zeros = [0; FRAME_HEADER_LEN];
        let result = self
            .wal
            .write_all_at(&zeros, commit_at)
            .map_err(ApplyError::io("write", Kind::Wal))
            .and_then(|()| context.store(Kind::Wal, commit_at, &zeros));
        if let Err(error) = result {
            tracing::error!(%error, "cannot take back an unpublished commit; it will be seen after the next recovery");
        }
    }
}

/// The WAL is long here, in frames: from here on readers may be waited for.
pub(super) const PAUSE_AT: u32 = 4000;

/// Joins those who have the wal-index mapped; the first one begins it anew. False while another is doing so.
fn join(context: &Context, shm: &ShmLock) -> Result<bool, ApplyError> {
    let lock = || ApplyError::errno("lock", Kind::Shm);
    if shm.only_user().map_err(lock())? {
        // The length that SQLite uses too: not empty, and too short to be taken for valid.
        context.open_shm_to_map()?.set_len(3).map_err(ApplyError::io("truncate", Kind::Shm))?;
        context.invalidate(Kind::Shm, 0..u64::MAX)?;
    }
    shm.user().map_err(lock())
}

/// Frames on their way to the WAL.
struct Batch {
    header: WalHeader,
    /// The running checksum after the finished frames.
    chain: WalChecksum,
    /// Where `bytes` go, in bytes from the start of the file.
    start: u64,
    /// The last frame in here has no header yet: whether it ends the transaction is not known before the next page.
    bytes: Vec<u8>,
    /// How many of the bytes can be written.
    finished: usize,
    frames: Vec<(PageNumber, u64)>,
}

impl Batch {
    fn push(&mut self, page: PageNumber, content: &[u8]) {
        self.finish_last(0);
        self.finished = self.bytes.len();
        self.frames.push((page, self.start + self.bytes.len() as u64));
        self.bytes.extend_from_slice(&[0; FRAME_HEADER_LEN]);
        self.bytes.extend_from_slice(content);
    }

    /// Makes the last frame end the transaction. Returns where it begins.
    fn commit(&mut self, commit: u32) -> u64 {
        self.finish_last(commit);
        self.finished = self.bytes.len();
        self.frames.last().map_or(self.start, |(_, offset)| *offset)
    }

    fn finish_last(&mut self, commit: u32) {
        let Some((page, offset)) = self.frames.last() else { return };
        let at = (offset - self.start) as usize;
        let (head, content) = self.bytes[at..].split_at_mut(FRAME_HEADER_LEN);
        let header = FrameHeader::new(&self.header, self.chain, *page, commit, content);
        self.chain = header.checksum;
        head.copy_from_slice(&header.encode());
    }
}
