//! A database rebuilt from its log alone, by the format and without the machine's help.

use std::collections::BTreeMap;
use std::rc::Rc;

use litefs_core::log::{EntryHeader, SEGMENT_HEADER_LEN};
use litefs_core::ltx::{self, Ltx};
use litefs_core::{Checksum, File, PageNumber, PageSize, Position, Txid};

use crate::machine_disk::{MachineDisk, Path};

/// A database in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    /// The pages back to back.
    pub(crate) bytes: Vec<u8>,
    /// `None` for a database without pages.
    pub(crate) page_size: Option<PageSize>,
}

impl Image {
    /// The checksum of all pages, computed from their bytes.
    pub(crate) fn checksum(&self) -> Checksum {
        let Some(page_size) = self.page_size else { return Checksum::EMPTY };
        (1..)
            .zip(self.bytes.chunks(page_size.bytes()))
            .filter_map(|(number, content)| Some((PageNumber::new(number)?, content)))
            .filter(|(number, _)| *number != page_size.lock_page())
            .fold(Checksum::EMPTY, |sum, (number, content)| sum.toggle(Checksum::of_page(number, content)))
    }

    /// Brings the image from one transaction to the next.
    fn apply(&mut self, file: &Ltx) -> Result<(), String> {
        let page_size = file.header.page_size;
        if self.page_size != Some(page_size) {
            self.bytes.clear();
            self.page_size = Some(page_size);
        }
        self.bytes.resize(file.header.commit as usize * page_size.bytes(), 0);
        for (number, content) in &file.pages {
            let at = usize::try_from(page_size.offset_of(*number)).unwrap_or(usize::MAX);
            let Some(place) = self.bytes.get_mut(at..).and_then(|rest| rest.get_mut(..content.len())) else {
                return Err(format!(
                    "page {number} lies beyond the {} pages of the database",
                    file.header.commit
                ));
            };
            place.copy_from_slice(content);
        }
        Ok(())
    }
}

/// A segment of a log.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Its number.
    pub(crate) number: u64,
    bytes: Vec<u8>,
}

/// Replays the log of `database`, showing every state to `visit`. Returns the last one. What retention has removed of
/// the log is in `archived`.
///
/// Each file must follow the one before it, be whole, and have the checksums it says.
pub(crate) fn replay(
    disk: &MachineDisk,
    database: &Rc<str>,
    archived: &[Segment],
    visit: &mut dyn FnMut(Position, &Image),
) -> Result<(Position, Image), String> {
    let mut position = Position::ZERO;
    let mut image = Image::default();
    let present = segments(disk, database);
    let present: Vec<_> = present.iter().flat_map(Segment::transactions).collect();
    let first = present.first().map_or(Txid::new(u64::MAX), |(entry, _)| entry.min_txid);
    let removed = archived.iter().flat_map(Segment::transactions);
    let removed: BTreeMap<Txid, _> = removed.map(|found| (found.0.min_txid, found)).collect();
    for (entry, bytes) in removed.range(..first).map(|(_, found)| found).chain(&present) {
        let file = ltx::decode_all(bytes)
            .map_err(|error| format!("transaction {} in the log: {error}", entry.post.txid))?;
        let follows = if file.header.is_snapshot() {
            position == Position::ZERO
        } else {
            file.header.pre_apply_position() == position
        };
        if !follows {
            let wants = file.header.pre_apply_position();
            return Err(format!("the log goes from {position} to a transaction that builds on {wants}"));
        }
        image.apply(&file)?;
        position = Position { txid: file.header.max_txid, checksum: file.trailer.post_apply };
        if position != entry.post {
            return Err(format!("the log calls {} what is {position}", entry.post));
        }
        let found = image.checksum();
        if found != position.checksum {
            return Err(format!("the log at {position} gives a database with checksum {found}"));
        }
        visit(position, &image);
    }
    Ok((position, image))
}

/// The segments of a database's log, the oldest first.
pub(crate) fn segments(disk: &MachineDisk, database: &Rc<str>) -> Vec<Segment> {
    let read = |number| {
        let path = Path::Governed(Rc::clone(database), File::Segment(number));
        let mut bytes = vec![0; usize::try_from(disk.len(&path).unwrap_or(0)).unwrap_or(0)];
        disk.read_at(&path, 0, &mut bytes);
        Segment { number, bytes }
    };
    disk.segments(database).into_iter().map(read).collect()
}

impl Segment {
    /// The transactions in it, up to the first thing that is not an entry.
    fn transactions(&self) -> Vec<(EntryHeader, &[u8])> {
        let mut found = Vec::new();
        let mut offset = SEGMENT_HEADER_LEN;
        while let Some(bytes) = self.bytes.get(offset..).and_then(|rest| rest.first_chunk()) {
            let Some(entry) = EntryHeader::decode(bytes, self.number, offset as u64) else { break };
            let payload = &self.bytes[offset + EntryHeader::LEN..];
            let len = usize::try_from(entry.payload_len).unwrap_or(usize::MAX).min(payload.len());
            offset += EntryHeader::LEN + len;
            if entry.is_transaction() {
                found.push((entry, &payload[..len]));
            }
        }
        found
    }
}
