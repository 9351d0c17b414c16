//! Reading a log back from its segments.

use alloc::vec::Vec;

use super::{EntryHeader, Log, SEGMENT_HEADER_LEN, Segment, segment};
use crate::{Disk, Errno, File, Mistake, Planted, Position, Txid, View, ltx};

/// Something in the log that could not be read. What came before it can no longer be served to peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The number of the segment.
    pub segment: u64,
    /// The byte where reading stopped making sense.
    pub offset: u64,
}

/// A log as found on disk.
#[derive(Debug)]
pub struct Scan {
    /// The log, with everything in it that is whole and connected to its end.
    pub log: Log,
    /// The newest segment is longer than its last whole entry: cut it to this many bytes before appending.
    pub trim: Option<(u64, u64)>,
    /// Files of segments that were only about to begin: remove them, so that none is taken for the newest.
    pub unbegun: Vec<u64>,
    /// Damage before the end of the log.
    pub damage: Vec<Damage>,
    /// Where a segment stopped making sense. That is damage only if what comes next is not connected: a failed append
    /// leaves bytes behind, too.
    stopped: Option<Damage>,
    /// The last transaction so far, also of a history that a snapshot has replaced since.
    reached: Txid,
    /// Entries of the newest segment of which it is not known that they are on disk.
    unproven: Option<Unproven>,
}

/// A part of a segment, in bytes.
#[derive(Clone, Copy, Debug)]
struct Unproven {
    segment: u64,
    from: u64,
    to: u64,
}

impl Log {
    /// Reads the log's index back from its segments.
    ///
    /// Entries of the newest segment beyond `trusted` may be torn and are verified in full; everything before was
    /// synced and is taken by its header. A log that ends before `trusted` is damaged there: it has no entries then, and
    /// is kept as evidence.
    ///
    /// # Errors
    /// What the disk answered.
    pub fn open<V: View>(view: &V, segment_len_max: u64, trusted: Txid) -> Result<Scan, Errno> {
        Self::open_with(view, segment_len_max, trusted, Planted::default())
    }

    /// The same with a mistake in all that is done with the log.
    pub(crate) fn open_with<V: View>(
        view: &V,
        segment_len_max: u64,
        trusted: Txid,
        planted: Planted,
    ) -> Result<Scan, Errno> {
        let mut scan = Scan {
            log: Self { planted, ..Self::new(segment_len_max) },
            trim: None,
            unbegun: Vec::new(),
            damage: Vec::new(),
            stopped: None,
            reached: Txid::ZERO,
            unproven: None,
        };
        let mut numbers = view.segments()?;
        while let Some(last) = numbers.pop() {
            if is_begun(view, last)? {
                numbers.push(last);
                break;
            }
            // Nothing in it was ever synced, or its header would be there.
            scan.unbegun.push(last);
        }
        for (at, &number) in numbers.iter().enumerate() {
            let newest = at + 1 == numbers.len();
            scan.segment(view, number, newest, trusted)?;
        }
        if scan.log.end != Position::ZERO && scan.reached < trusted {
            scan.give_up(view)?;
        }
        scan.log.dirty = scan.unproven.is_some();
        if !scan.log.dirty {
            scan.log.durable = scan.log.end;
        }
        // Whether the directory entry of the newest segment was synced is not known.
        scan.log.directory_dirty = !scan.log.segments.is_empty();
        Ok(scan)
    }
}

impl Scan {
    /// Makes durable what was read. If the process before this one had a sync fail, the kernel may have what was
    /// written in memory, and take it for written: so it is written again.
    ///
    /// # Errors
    /// What the disk answered.
    pub fn prove<D: Disk>(&mut self, disk: &D) -> Result<(), Errno> {
        let Some(Unproven { segment, from, to }) = self.unproven else { return Ok(()) };
        let mut chunk = alloc::vec![0; 256 * 1024];
        let mut at = from;
        while at < to {
            let want = chunk.len().min(usize::try_from(to - at).unwrap_or(usize::MAX));
            if !read_full(disk, File::Segment(segment), at, &mut chunk[..want])? {
                return Err(Errno::EIO);
            }
            disk.write_at(File::Segment(segment), at, &chunk[..want])?;
            at += want as u64;
        }
        self.log.sync(disk)
    }

    /// What was durable is not there any more: nothing that can be read leads to where the database is.
    fn give_up<V: View>(&mut self, view: &V) -> Result<(), Errno> {
        let Some(newest) = self.log.segments.back_mut() else { return Ok(()) };
        let found = Damage { segment: newest.number, offset: newest.len };
        let file_len = view.len(File::Segment(newest.number))?.unwrap_or(0);
        // Counted as full so that nothing is appended to it.
        newest.len = file_len.max(self.log.segment_len_max);
        self.damage.push(self.stopped.unwrap_or(found));
        self.trim = None;
        self.unproven = None;
        self.log.entries.clear();
        self.log.end = Position::ZERO;
        self.log.coverage = None;
        Ok(())
    }

    fn segment<V: View>(&mut self, view: &V, number: u64, newest: bool, trusted: Txid) -> Result<(), Errno> {
        let file = File::Segment(number);
        let file_len = view.len(file)?.unwrap_or(0);
        if !is_begun(view, number)? {
            self.damage.push(Damage { segment: number, offset: 0 });
            self.log.entries.clear();
            // Kept as evidence, and counted as full so that nothing is appended to it.
            self.log
                .segments
                .push_back(Segment { len: file_len.max(self.log.segment_len_max), ..empty(number) });
            return Ok(());
        }
        self.log.segments.push_back(empty(number));
        let mut offset = SEGMENT_HEADER_LEN as u64;
        loop {
            let mut bytes = [0; EntryHeader::LEN];
            if !read_full(view, file, offset, &mut bytes)? {
                break;
            }
            let Some(header) = EntryHeader::decode(&bytes, number, offset) else { break };
            let payload_at = offset + EntryHeader::LEN as u64;
            let Some(end) = payload_at.checked_add(header.payload_len).filter(|end| *end <= file_len) else {
                break;
            };
            let is_trusted = header.post.txid <= trusted && self.reached < trusted;
            if newest && header.is_transaction() && !is_trusted {
                let believed = self.log.planted.makes(Mistake::BelievesTornTransaction);
                if !believed && !payload_is_whole(view, file, payload_at, &header)? {
                    break;
                }
                // A segment whose first entry was not synced has no header on disk either, for all that is known.
                let with_header = offset == SEGMENT_HEADER_LEN as u64
                    && !self.log.planted.makes(Mistake::LeavesOutSegmentHeader);
                let begins = if with_header { 0 } else { offset };
                let from = self.unproven.map_or(begins, |unproven| unproven.from);
                self.unproven = Some(Unproven { segment: number, from, to: end });
            }
            let connected = header.min_txid == self.log.end.txid.next()
                && (header.pre_apply == self.log.end.checksum || self.log.end == Position::ZERO);
            if header.is_transaction() && !header.is_snapshot() && !connected {
                if self.log.end != Position::ZERO {
                    self.damage.push(self.stopped.unwrap_or(Damage { segment: number, offset }));
                }
                self.log.entries.clear();
            }
            if header.is_transaction() {
                self.reached = self.reached.max(header.post.txid);
            }
            self.log.finish_entry(header, offset);
            offset = end;
        }
        if offset < file_len {
            let behind = self.log.planted.makes(Mistake::AppendsBehindTornEnd);
            if let (true, Some(newest)) = (newest && behind, self.log.segments.back_mut()) {
                newest.len = file_len;
            } else if newest {
                self.trim = Some((number, offset));
            } else {
                self.stopped = Some(Damage { segment: number, offset });
            }
        }
        Ok(())
    }
}

/// Whether the segment has its header.
fn is_begun<V: View>(view: &V, number: u64) -> Result<bool, Errno> {
    let mut head = [0; SEGMENT_HEADER_LEN];
    Ok(read_full(view, File::Segment(number), 0, &mut head)? && head == segment::header(number))
}

fn empty(number: u64) -> Segment {
    Segment {
        number,
        len: SEGMENT_HEADER_LEN as u64,
        oldest_ms: i64::MAX,
        newest_ms: i64::MIN,
        max_txid: Txid::ZERO,
    }
}

/// Decodes an LTX file in a segment, to see whether all of it reached the disk.
fn payload_is_whole<V: View>(view: &V, file: File, at: u64, header: &EntryHeader) -> Result<bool, Errno> {
    let mut decoder = ltx::Decoder::new();
    let mut chunk = alloc::vec![0; 64 * 1024];
    let mut read_total = 0;
    let mut ended = None;
    loop {
        loop {
            match decoder.next() {
                Ok(Some(ltx::Item::End(trailer))) => ended = Some(trailer),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return Ok(false),
            }
        }
        let want = chunk.len().min(usize::try_from(header.payload_len - read_total).unwrap_or(usize::MAX));
        if want == 0 {
            break;
        }
        let read = view.read_at(file, at + read_total, &mut chunk[..want])?;
        if read == 0 {
            return Ok(false);
        }
        decoder.feed(&chunk[..read]);
        read_total += read as u64;
    }
    Ok(ended.is_some_and(|trailer| trailer.post_apply == header.post.checksum))
}

fn read_full<V: View>(view: &V, file: File, offset: u64, buf: &mut [u8]) -> Result<bool, Errno> {
    let mut filled = 0;
    while filled < buf.len() {
        let read = view.read_at(file, offset + filled as u64, &mut buf[filled..])?;
        if read == 0 {
            return Ok(false);
        }
        filled += read;
    }
    Ok(true)
}
