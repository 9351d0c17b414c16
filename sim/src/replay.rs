//! A database rebuilt from its log alone, by the format and without the machine's help.

use std::rc::Rc;

use litefs_core::log::{EntryHeader, SEGMENT_HEADER_LEN};
use litefs_core::ltx::{self, Ltx};
use litefs_core::{Checksum, File, PageNumber, PageSize, Position};

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

/// Replays the log of `database`, showing every state to `visit`. Returns the last one.
///
/// Each file must follow the one before it, be whole, and have the checksums it says.
pub(crate) fn replay(
    disk: &MachineDisk,
    database: &Rc<str>,
    visit: &mut dyn FnMut(Position, &Image),
) -> Result<(Position, Image), String> {
    let mut position = Position::ZERO;
    let mut image = Image::default();
    for segment in disk.segments(database) {
        let path = Path::Governed(Rc::clone(database), File::Segment(segment));
        let read = |offset: u64, len: u64| {
            let mut buf = vec![0; usize::try_from(len).unwrap_or(0)];
            let count = disk.read_at(&path, offset, &mut buf);
            buf.truncate(count);
            buf
        };
        let mut offset = SEGMENT_HEADER_LEN as u64;
        while let Ok(header) = <[u8; EntryHeader::LEN]>::try_from(read(offset, EntryHeader::LEN as u64)) {
            let Some(entry) = EntryHeader::decode(&header, segment, offset) else { break };
            offset += EntryHeader::LEN as u64 + entry.payload_len;
            if !entry.is_transaction() {
                continue;
            }
            let file = ltx::decode_all(&read(offset - entry.payload_len, entry.payload_len))
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
    }
    Ok((position, image))
}
