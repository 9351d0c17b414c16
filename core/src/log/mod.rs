//! The transaction log: append-only segments that hold LTX files back to back, and an index of them in memory.
//!
//! A commit appends to the newest segment; nothing is created, renamed or synced for it alone. What is durable is a
//! prefix: [`Log::durable`] says up to which position.

mod append_error;
mod entry;
mod generations;
mod scan;
mod segment;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

pub use append_error::AppendError;
pub use entry::{EntryHeader, EntryKind, WalCoverage};
pub use scan::{Damage, Scan};
pub use segment::SEGMENT_HEADER_LEN;

use crate::{
    Checksum, Disk, Errno, File, Mistake, PageSource, Planted, Position, ReadAt, Transaction, Txid, ltx,
};
use generations::Generations;

/// How many segments cover the time that transactions are kept, at least.
const SEGMENTS_PER_AGE: i64 = 4;

/// Bytes of an LTX file that are collected before they are written, where it is larger than that.
const WRITE_CHUNK: usize = 256 * 1024;

/// Where an LTX file lies in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The number of the segment.
    pub segment: u64,
    /// Where the LTX file begins, in bytes.
    pub offset: u64,
    /// Bytes of the LTX file.
    pub len: u64,
    /// Its first transaction.
    pub min_txid: Txid,
    /// The checksum before it, zero for a snapshot.
    pub pre_apply: Checksum,
    /// The position after it.
    pub post: Position,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
}

/// One segment as the log knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    number: u64,
    /// Bytes in use.
    len: u64,
    /// The times of its oldest and its newest transaction, in milliseconds since the Unix epoch.
    oldest_ms: i64,
    newest_ms: i64,
    /// The last transaction in it.
    max_txid: Txid,
}

/// What a sync of the log makes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncPlan {
    /// The segment to sync.
    pub segment: u64,
    /// Whether the directory must be synced too, because the segment is new in it.
    pub directory: bool,
    /// The position that is durable afterwards.
    pub upto: Position,
    /// How much had been appended when the plan was made.
    appends: u64,
}

/// How long transactions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Transactions older than this are given up, in milliseconds; `None` keeps them whatever their age.
    pub age_ms: Option<i64>,
    /// Bytes above which the oldest segments are given up; `None` for no limit.
    pub size: Option<u64>,
}

/// The log of one database.
#[derive(Debug)]
pub struct Log {
    /// Bytes above which a new segment is begun.
    segment_len_max: u64,
    planted: Planted,
    /// The number of the segment before the first, if there is none: what a lost segment left must not come after it.
    last_number: u64,
    segments: VecDeque<Segment>,
    /// Consecutive transactions, oldest first.
    entries: VecDeque<Stored>,
    end: Position,
    durable: Position,
    coverage: Option<WalCoverage>,
    /// The salts of the WAL that was covered last, and of those before it.
    generations: Generations,
    /// The next entry begins a new segment, because the newest has grown old.
    rotate: bool,
    /// Something was appended since the last sync.
    dirty: bool,
    /// Entries that were appended since the log was opened.
    appends: u64,
    /// The newest segment's directory entry is not durable yet.
    directory_dirty: bool,
    /// A sync failed: what was written before may be gone although a later sync succeeds.
    sync_error: Option<Errno>,
    page: Vec<u8>,
    encoder: Option<ltx::Encoder>,
}

impl Log {
    /// A log without transactions.
    pub fn new(segment_len_max: u64) -> Self {
        Self {
            segment_len_max,
            planted: Planted::default(),
            last_number: 0,
            segments: VecDeque::new(),
            entries: VecDeque::new(),
            end: Position::ZERO,
            durable: Position::ZERO,
            coverage: None,
            generations: Generations::default(),
            rotate: false,
            dirty: false,
            appends: 0,
            directory_dirty: false,
            sync_error: None,
            page: Vec::new(),
            encoder: None,
        }
    }

    /// The position after the last transaction in the log.
    pub fn end(&self) -> Position {
        self.end
    }

    /// The position up to which the log survives a loss of power.
    pub fn durable(&self) -> Position {
        self.durable
    }

    /// Goes on after `position`, which is known to be durable elsewhere, in a log that has nothing.
    pub fn start_at(&mut self, position: Position) {
        if self.entries.is_empty() {
            self.end = position;
            self.durable = position;
        }
    }

    /// The part of the WAL whose transactions are in the log, if the log ends in transactions of a WAL.
    pub fn coverage(&self) -> Option<WalCoverage> {
        self.coverage
    }

    /// Whether the WAL with these salts was begun again since: the log has all of it, and transactions after it.
    pub fn is_superseded(&self, salt: [u32; 2]) -> bool {
        self.generations.is_superseded(salt)
    }

    /// The oldest transaction that can still be served.
    pub fn first(&self) -> Option<&Stored> {
        self.entries.front()
    }

    /// Where the latest transaction leads that left nothing of the database.
    pub fn last_removal(&self) -> Option<Position> {
        let mut posts = self.entries.iter().rev().map(|stored| stored.post);
        posts.find(|post| post.checksum == Checksum::EMPTY)
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// Whether the log ends at `position`, went through it, or begins right after it, what was before being removed.
    pub fn leads_from(&self, position: Position) -> bool {
        self.end == position
            || self.find(position.txid).is_some_and(|stored| stored.post == position)
            || self.first().is_some_and(|first| {
                first.min_txid == position.txid.next() && first.pre_apply == position.checksum
            })
    }

    /// The LTX file that holds `txid`, if it is still there.
    pub fn find(&self, txid: Txid) -> Option<&Stored> {
        let at = self.entries.partition_point(|stored| stored.post.txid < txid);
        self.entries.get(at).filter(|stored| stored.min_txid <= txid)
    }

    /// The LTX files after `txid`, oldest first; `None` if the first of them is not there any more.
    pub fn after(&self, txid: Txid) -> Option<impl Iterator<Item = &Stored> + '_> {
        let at = self.entries.partition_point(|stored| stored.post.txid <= txid);
        let connected = match self.entries.get(at) {
            Some(stored) => stored.min_txid <= txid.next(),
            None => txid >= self.end.txid,
        };
        connected.then(|| self.entries.range(at..))
    }

    /// Appends a captured transaction, reading its pages from the database's files.
    ///
    /// # Errors
    /// Nothing was added; the log can be appended to again.
    pub fn append<D: Disk>(&mut self, disk: &D, transaction: &Transaction) -> Result<(), AppendError> {
        let offset = self.begin_entry(disk)?;
        // Both are kept between appends for their buffers.
        let mut page = core::mem::take(&mut self.page);
        page.resize(transaction.header.page_size.bytes(), 0);
        let mut encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => ltx::Encoder::new(transaction.header)?,
        };
        let written = self.write_captured(disk, offset, transaction, &mut encoder, &mut page);
        self.page = page;
        self.encoder = Some(encoder);
        self.finish_entry(written?, offset);
        Ok(())
    }

    /// Encodes and writes the entry at `offset`, reading each page into `page`.
    fn write_captured<D: Disk>(
        &self,
        disk: &D,
        offset: u64,
        transaction: &Transaction,
        encoder: &mut ltx::Encoder,
        page: &mut [u8],
    ) -> Result<EntryHeader, AppendError> {
        encoder.restart(transaction.header)?;
        let segment = File::Segment(self.newest_number());
        let payload_at = offset + EntryHeader::LEN as u64;
        let mut written = 0_u64;
        for (number, source) in &transaction.pages {
            let read = source.read(disk, transaction.header.page_size, *number, page)?;
            if let PageSource::Frame(frame) = source
                && read < page.len()
            {
                return Err(AppendError::MissingFrame { page: *number, frame: *frame });
            }
            encoder.page(*number, page)?;
            if encoder.output().len() >= WRITE_CHUNK {
                disk.write_at(segment, payload_at + written, encoder.output())?;
                written += encoder.output().len() as u64;
                encoder.output().clear();
            }
        }
        encoder.finish(transaction.post_apply)?;
        let rest = encoder.output();
        let header = EntryHeader {
            kind: EntryKind::Captured,
            payload_len: written + rest.len() as u64,
            min_txid: transaction.header.min_txid,
            pre_apply: transaction.header.pre_apply,
            post: transaction.position(),
            timestamp_ms: transaction.header.timestamp_ms,
            wal: WalCoverage {
                salt: transaction.header.wal_salt,
                end: transaction.header.wal_offset + transaction.header.wal_size,
            },
        };
        let encoded = header.encode(self.newest_number(), offset);
        if written == 0 {
            // The usual small transaction: one write for header and file.
            rest.splice(0..0, encoded);
            disk.write_at(segment, offset, rest)?;
        } else {
            disk.write_at(segment, payload_at + written, rest)?;
            disk.write_at(segment, offset, &encoded)?;
        }
        Ok(header)
    }

    /// Appends an LTX file of `len` bytes that came from elsewhere and has been verified. A snapshot makes the
    /// transactions before it unreachable.
    ///
    /// # Errors
    /// Nothing was added; the log can be appended to again.
    pub fn append_received<D: Disk>(
        &mut self,
        disk: &D,
        header: &ltx::Header,
        post_apply: Checksum,
        payload: &dyn ReadAt,
        len: u64,
    ) -> Result<(), AppendError> {
        let entry = EntryHeader {
            kind: EntryKind::Received,
            payload_len: len,
            min_txid: header.min_txid,
            pre_apply: header.pre_apply,
            post: Position { txid: header.max_txid, checksum: post_apply },
            timestamp_ms: header.timestamp_ms,
            wal: WalCoverage::default(),
        };
        let offset = self.begin_entry(disk)?;
        let segment = File::Segment(self.newest_number());
        let mut chunk = alloc::vec![0; WRITE_CHUNK.min(usize::try_from(len).unwrap_or(WRITE_CHUNK))];
        let mut copied = 0;
        while copied < len {
            let want = chunk.len().min(usize::try_from(len - copied).unwrap_or(usize::MAX));
            let read = payload.read_at(copied, &mut chunk[..want])?;
            if read == 0 {
                return Err(AppendError::Disk(Errno::EIO));
            }
            disk.write_at(segment, offset + EntryHeader::LEN as u64 + copied, &chunk[..read])?;
            copied += read as u64;
        }
        disk.write_at(segment, offset, &entry.encode(self.newest_number(), offset))?;
        self.finish_entry(entry, offset);
        Ok(())
    }

    /// Notes how far the WAL is covered, where the transactions in it came from a peer.
    ///
    /// # Errors
    /// What the disk answered; nothing was added.
    pub fn append_mark<D: Disk>(&mut self, disk: &D, wal: WalCoverage) -> Result<(), AppendError> {
        let offset = self.begin_entry(disk)?;
        let mark = EntryHeader {
            kind: EntryKind::WalMark,
            payload_len: 0,
            min_txid: Txid::ZERO,
            pre_apply: Checksum::ZERO,
            post: self.end,
            timestamp_ms: 0,
            wal,
        };
        disk.write_at(
            File::Segment(self.newest_number()),
            offset,
            &mark.encode(self.newest_number(), offset),
        )?;
        self.finish_entry(mark, offset);
        Ok(())
    }

    /// What has to be synced for everything appended so far to be durable; `None` if it is.
    pub fn sync_plan(&self) -> Option<SyncPlan> {
        let newest = self.segments.back()?;
        (self.dirty || self.directory_dirty).then_some(SyncPlan {
            segment: newest.number,
            directory: self.directory_dirty,
            upto: self.end,
            appends: self.appends,
        })
    }

    /// Notes that a sync failed. From now on none is believed: the kernel drops what it could not write and then
    /// answers that all is well. Only reading the log back tells what is there.
    pub fn sync_failed(&mut self, errno: Errno) {
        if !self.planted.makes(Mistake::ForgetsFailedLogSync) {
            self.sync_error.get_or_insert(errno);
        }
    }

    /// Notes that `plan` was carried out.
    pub fn synced(&mut self, plan: SyncPlan) {
        if self.sync_error.is_some() {
            return;
        }
        self.durable = plan.upto;
        // More may have been appended while the sync was under way.
        self.dirty = self.appends != plan.appends;
        if plan.directory && self.segments.back().is_some_and(|newest| newest.number == plan.segment) {
            self.directory_dirty = false;
        }
    }

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    /// What the disk answered; what was appended since the last sync may be lost.
    pub fn sync<D: Disk>(&mut self, disk: &D) -> Result<(), Errno> {
        if let Some(errno) = self.sync_error {
            return Err(errno);
        }
        let Some(plan) = self.sync_plan() else { return Ok(()) };
        let synced = disk.sync(File::Segment(plan.segment));
        let synced = synced.and_then(|()| if plan.directory { disk.sync_directory() } else { Ok(()) });
        match synced {
            Ok(()) => self.synced(plan),
            Err(errno) => self.sync_failed(errno),
        }
        synced
    }

    /// Forgets the oldest segments that retention does not keep and returns their numbers, to be removed.
    ///
    /// What comes after `keep_after` stays, whatever its age: recovery needs it. So does the newest segment.
    pub fn expire(&mut self, retention: Retention, now_ms: i64, keep_after: Txid) -> Vec<u64> {
        // A database that is not written for a while needs no buffers.
        self.encoder = None;
        // Segments go as a whole, so a few of them must cover the time that is kept.
        self.rotate = retention
            .age_ms
            .zip(self.segments.back())
            .is_some_and(|(age, newest)| newest.oldest_ms < now_ms - age / SEGMENTS_PER_AGE);
        let mut expired = Vec::new();
        let mut size = self.size();
        while self.segments.len() > 1 {
            let oldest = self.segments[0];
            let too_old = retention.age_ms.is_some_and(|age| oldest.newest_ms < now_ms - age);
            let too_much = retention.size.is_some_and(|limit| size > limit);
            if oldest.max_txid > keep_after || !(too_old || too_much) {
                break;
            }
            size -= oldest.len;
            self.segments.pop_front();
            while self.entries.front().is_some_and(|stored| stored.segment == oldest.number) {
                self.entries.pop_front();
            }
            expired.push(oldest.number);
        }
        expired
    }

    fn newest_number(&self) -> u64 {
        self.segments.back().map_or(self.last_number, |segment| segment.number)
    }

    /// The offset of the next entry, after beginning a new segment if the newest is full.
    fn begin_entry<D: Disk>(&mut self, disk: &D) -> Result<u64, Errno> {
        let room = |newest: &&Segment| newest.len < self.segment_len_max && !self.rotate;
        if let Some(newest) = self.segments.back().filter(room) {
            return Ok(newest.len);
        }
        // Only the newest segment may have unsynced entries, so that recovery looks for a torn end in one place.
        if !self.planted.makes(Mistake::RotatesBeforeSync) {
            self.sync(disk)?;
        }
        let number = self.newest_number() + 1;
        disk.set_len(File::Segment(number), 0)?;
        disk.write_at(File::Segment(number), 0, &segment::header(number))?;
        self.segments.push_back(Segment {
            number,
            len: SEGMENT_HEADER_LEN as u64,
            oldest_ms: i64::MAX,
            newest_ms: i64::MIN,
            max_txid: Txid::ZERO,
        });
        self.rotate = false;
        self.directory_dirty = !self.planted.makes(Mistake::ForgetsNameOfSegment);
        Ok(SEGMENT_HEADER_LEN as u64)
    }

    /// Takes an entry that is completely written into the index.
    fn finish_entry(&mut self, header: EntryHeader, offset: u64) {
        self.dirty = true;
        self.appends += 1;
        if let Some(newest) = self.segments.back_mut() {
            newest.len = offset + EntryHeader::LEN as u64 + header.payload_len;
        }
        self.index(&header, offset);
    }

    /// Adds an entry of the newest segment to the index.
    fn index(&mut self, header: &EntryHeader, offset: u64) {
        match header.kind {
            // Salts of zero are as good as others.
            EntryKind::Captured if header.wal.end == 0 => self.coverage = None,
            EntryKind::Captured | EntryKind::WalMark => {
                self.coverage = Some(header.wal);
                self.generations.follow(header.wal.salt);
            }
            EntryKind::Received => {}
        }
        if !header.is_transaction() {
            return;
        }
        if header.is_snapshot() {
            self.entries.clear();
            // What was durable before is of another history.
            self.durable = Position::ZERO;
        }
        self.end = header.post;
        let Some(newest) = self.segments.back_mut() else { return };
        newest.oldest_ms = newest.oldest_ms.min(header.timestamp_ms);
        newest.newest_ms = newest.newest_ms.max(header.timestamp_ms);
        newest.max_txid = header.post.txid;
        self.entries.push_back(Stored {
            segment: newest.number,
            offset: offset + EntryHeader::LEN as u64,
            len: header.payload_len,
            min_txid: header.min_txid,
            pre_apply: header.pre_apply,
            post: header.post,
            timestamp_ms: header.timestamp_ms,
        });
    }
}
