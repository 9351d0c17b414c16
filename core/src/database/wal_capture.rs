use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::sqlite::header::DatabaseHeader;
use crate::sqlite::wal::{self, FrameHeader, WalChecksum, WalHeader};
use crate::{Checksum, Errno, File, PageNumber, View};

/// A frame of a transaction that is not committed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PendingFrame {
    pub(super) page: PageNumber,
    /// Pages of the database after the transaction, zero unless this frame commits it.
    pub(super) commit: u32,
    /// The WAL's running checksum after this frame.
    chain: WalChecksum,
    /// The checksum of the page in it.
    pub(super) sum: Checksum,
    /// Whether the page can stand where it does: the first one has the header of a database.
    pub(super) fits: bool,
}

/// How far a write lets the chain of valid frames reach.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Advance {
    /// Pending frames that the write leaves as they were.
    keep: usize,
    /// Valid frames after those.
    frames: Vec<PendingFrame>,
}

/// One generation of the WAL, from one header to the next, as the machine sees it being written.
///
/// SQLite writes frames in order, each as a header and a page, but it also overwrites pages of frames it spilled and
/// rewrites their headers at commit. A transaction is therefore committed by whichever write makes the chain of
/// checksums valid up to a frame with a commit mark (SQLite file format 4.1).
#[derive(Debug)]
pub(super) struct Generation {
    header: WalHeader,
    /// Where the frames of the last committed transaction end, in bytes.
    committed_end: u64,
    committed_chain: WalChecksum,
    /// The newest committed frame of each page, as its offset in bytes.
    frames: BTreeMap<PageNumber, u64>,
    pending: Vec<PendingFrame>,
    /// The beginning of the frame that follows the pending ones, where it was written front to back.
    partial: Vec<u8>,
    /// Where the furthest write since the last commit ended, in bytes.
    written_end: u64,
    /// The database file was replaced beneath the WAL: it holds something else than what the WAL continues.
    pub(super) is_misplaced: bool,
}

impl Generation {
    /// A generation without frames.
    pub(super) fn new(header: WalHeader) -> Self {
        Self {
            written_end: wal::HEADER_LEN as u64,
            committed_end: wal::HEADER_LEN as u64,
            committed_chain: header.checksum,
            header,
            frames: BTreeMap::new(),
            pending: Vec::new(),
            partial: Vec::new(),
            is_misplaced: false,
        }
    }

    pub(super) fn header(&self) -> &WalHeader {
        &self.header
    }

    pub(super) fn frames(&self) -> &BTreeMap<PageNumber, u64> {
        &self.frames
    }

    pub(super) fn committed_end(&self) -> u64 {
        self.committed_end
    }

    pub(super) fn frame_len(&self) -> u64 {
        wal::FRAME_HEADER_LEN as u64 + u64::from(self.header.page_size.get())
    }

    /// Where the chain of valid frames ends, in bytes.
    fn chain_end(&self) -> u64 {
        self.committed_end + self.pending.len() as u64 * self.frame_len()
    }

    /// Bytes from `offset` to the end of the frame it lies in.
    pub(super) fn frame_rest(&self, offset: u64) -> u64 {
        let frame_len = self.frame_len();
        frame_len - (offset - wal::HEADER_LEN as u64) % frame_len
    }

    /// What the chain becomes when `data` is written at `offset`, which is not below the committed frames and reaches no
    /// further than the end of its frame. Without `rescan` only an append is understood.
    pub(super) fn advance<V: View>(
        &mut self,
        view: &V,
        offset: u64,
        data: &[u8],
        rescan: bool,
    ) -> Result<Advance, Errno> {
        let keep = self.pending.len();
        let appends = offset == self.chain_end() + self.partial.len() as u64 && self.written_end <= offset;
        self.written_end = self.written_end.max(offset + data.len() as u64);
        if !appends {
            self.partial.clear();
            let nothing = Advance { keep, frames: Vec::new() };
            return if rescan { self.rescan(view, offset, data) } else { Ok(nothing) };
        }
        self.partial.extend_from_slice(data);
        let whole = self.partial.len() as u64 == self.frame_len();
        let frame = whole.then(|| check_frame(&self.header, self.chain_after(keep), &self.partial));
        Ok(Advance { keep, frames: frame.flatten().into_iter().collect() })
    }

    /// Where the page begins, in bytes, that an older generation may have left behind the header of a commit that is
    /// being written. SQLite writes the header first, and that page may give the header's checksum, although it is not the
    /// one that is about to come: the checksum is a sum with known weights, and pages of one database differ in few
    /// bytes.
    pub(super) fn stale_page(&self) -> Option<u64> {
        let at = self.chain_end() + wal::FRAME_HEADER_LEN as u64;
        let alone = self.partial.len() == wal::FRAME_HEADER_LEN;
        let commits = alone && FrameHeader::decode(&self.partial).is_some_and(|header| header.commit != 0);
        commits.then_some(at)
    }

    /// Follows the chain from the frame that `offset` lies in, over the file as `data` will change it, up to the
    /// first commit.
    fn rescan<V: View>(&self, view: &V, offset: u64, data: &[u8]) -> Result<Advance, Errno> {
        let touched = usize::try_from((offset - self.committed_end) / self.frame_len()).unwrap_or(usize::MAX);
        let keep = touched.min(self.pending.len());
        let mut chain = self.chain_after(keep);
        let mut at = self.committed_end + keep as u64 * self.frame_len();
        let mut frame = alloc::vec![0; self.frame_len() as usize];
        let mut frames = Vec::new();
        loop {
            let mut filled = view.read_at(File::Wal, at, &mut frame)?;
            filled = filled.max(overlay(&mut frame, at, offset, data, filled));
            if filled < frame.len() {
                break;
            }
            let Some(valid) = check_frame(&self.header, chain, &frame) else { break };
            chain = valid.chain;
            at += self.frame_len();
            frames.push(valid);
            if valid.commit != 0 {
                break;
            }
        }
        Ok(Advance { keep, frames })
    }

    /// The frames of the transaction that `advance` completes, if it does.
    pub(super) fn completed(
        &self,
        advance: &Advance,
    ) -> Option<impl Iterator<Item = (u64, PendingFrame)> + '_> {
        advance.frames.last().filter(|frame| frame.commit != 0)?;
        let frames: Vec<PendingFrame> =
            self.pending[..advance.keep].iter().chain(&advance.frames).copied().collect();
        let (start, len) = (self.committed_end, self.frame_len());
        Some(frames.into_iter().enumerate().map(move |(at, frame)| (start + at as u64 * len, frame)))
    }

    /// Where the transaction that `advance` completes ends, in bytes.
    pub(super) fn completed_end(&self, advance: &Advance) -> u64 {
        self.committed_end + (advance.keep + advance.frames.len()) as u64 * self.frame_len()
    }

    /// The write happened.
    pub(super) fn apply(&mut self, advance: Advance) {
        let unchanged = advance.keep == self.pending.len() && advance.frames.is_empty();
        if !unchanged || self.partial.len() as u64 == self.frame_len() {
            self.partial.clear();
        }
        self.pending.truncate(advance.keep);
        self.pending.extend(advance.frames);
        let Some(last) = self.pending.last().copied().filter(|frame| frame.commit != 0) else { return };
        let (start, len) = (self.committed_end, self.frame_len());
        for (at, frame) in self.pending.drain(..).enumerate() {
            self.frames.insert(frame.page, start + at as u64 * len);
            self.committed_end += len;
        }
        self.committed_chain = last.chain;
        self.written_end = self.committed_end;
    }

    /// The write failed: what of it reached the file is unknown, so the frame in the making has to be read again.
    pub(super) fn forget_partial(&mut self) {
        self.partial.clear();
    }

    /// Takes committed frames into the generation that the daemon itself wrote.
    pub(super) fn extend_committed(&mut self, frames: &[(PageNumber, u64)], end: u64, chain: WalChecksum) {
        self.frames.extend(frames.iter().copied());
        self.committed_end = end;
        self.committed_chain = chain;
        self.written_end = end;
        self.pending.clear();
        self.partial.clear();
    }

    /// The running checksum after the first `count` pending frames.
    fn chain_after(&self, count: usize) -> WalChecksum {
        match count.checked_sub(1) {
            Some(last) => self.pending[last].chain,
            None => self.committed_chain,
        }
    }
}

/// The frame in `bytes`, if it continues the chain.
fn check_frame(wal: &WalHeader, chain: WalChecksum, bytes: &[u8]) -> Option<PendingFrame> {
    let (head, content) = bytes.split_at(wal::FRAME_HEADER_LEN);
    let header = FrameHeader::decode(head)?;
    if header.salt != wal.salt {
        return None;
    }
    let mut chain = chain;
    chain.update(&head[..8], wal.byte_order);
    chain.update(content, wal.byte_order);
    (chain == header.checksum).then(|| PendingFrame {
        page: header.page,
        commit: header.commit,
        chain,
        sum: Checksum::of_page(header.page, content),
        fits: header.page != PageNumber::FIRST
            || DatabaseHeader::decode(content).is_ok_and(|header| header.page_size == wal.page_size),
    })
}

/// Puts the part of `data`, written at `offset`, that falls on `frame`, read from `at`, over it. Returns how many
/// bytes of the frame are filled then, or zero where the data leaves a gap.
fn overlay(frame: &mut [u8], at: u64, offset: u64, data: &[u8], filled: usize) -> usize {
    let end = at + frame.len() as u64;
    let data_end = offset + data.len() as u64;
    if data_end <= at || offset >= end {
        return 0;
    }
    let from = offset.max(at);
    let to = data_end.min(end);
    let target = (from - at) as usize..(to - at) as usize;
    let source = (from - offset) as usize..(to - offset) as usize;
    frame[target.clone()].copy_from_slice(&data[source]);
    if target.start <= filled { target.end } else { 0 }
}
