//! How a [`WalWriter`] begins: with what other connections, or their deaths, have left.

use alloc::vec::Vec;

use super::context::Context;
use super::deadline::Deadline;
use super::shm_lock::ShmLock;
use super::wal_index::{NOT_USED, WalIndex};
use super::wal_scan::{self, WalScan};
use super::wal_writer::{PAUSE_AT, WalWriter};
use super::{ApplyError, BackingFile, FileIdentity, Lock, System};
use crate::File as Kind;
use crate::read_at::read_exact;
use crate::sqlite::wal::{self, FRAME_HEADER_LEN, FrameHeader};
use crate::sqlite::wal_index::Header;

impl<S: System> WalWriter<S> {
    /// Becomes the writer of the WAL, which is created where it is missing.
    ///
    /// What other connections have published is taken over; where there is nothing, the wal-index is rebuilt from the
    /// WAL. Transactions that are whole in the WAL but were not published, because their writer died, are published.
    ///
    /// `database` is locked with SHARED: as long as it has its name, the files beside it are not replaced.
    pub(super) fn attach(
        context: &Context<S>,
        database: FileIdentity,
        deadline: Deadline,
    ) -> Result<Self, ApplyError> {
        let shm = ShmLock::new(context.open_or_create_in_mount(Kind::Shm)?);
        let in_mount = context.open_or_create_in_mount(Kind::Wal)?;
        let lock = ApplyError::io;
        if !deadline.wait_for(context, || join(context, &shm))? {
            return Err(ApplyError::Busy(Lock::WalIndex));
        }
        let writer = deadline.wait_for(context, || shm.write()).map_err(lock("lock", Kind::Shm))?;
        if !writer || !deadline.wait_for(context, || shm.checkpoint()).map_err(lock("lock", Kind::Shm))? {
            return Err(ApplyError::Busy(Lock::Write));
        }
        let index = WalIndex::new(context.open_index()?);
        let wal = context.open_backing(Kind::Wal)?;
        if context.database_identity()? != Some(database) {
            // These are the files of another database, whose locks are not held.
            return Err(ApplyError::Busy(Lock::Replaced));
        }
        let wal_len = wal.len().map_err(ApplyError::io("look at", Kind::Wal))?;
        let published = Header::default();
        let mut writer = Self {
            shm,
            index,
            wal,
            _in_mount: in_mount,
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

    /// Takes over what is published, if it agrees with the WAL.
    fn adopt(&mut self) -> Result<bool, ApplyError> {
        let Some(header) = self.index.header()? else { return Ok(false) };
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
            read_exact(&self.wal, offset, &mut last).map_err(ApplyError::io("read", Kind::Wal))?;
            let agrees = FrameHeader::decode(&last).is_some_and(|last| {
                last.salt == header.salt && last.checksum == header.frame_checksum && last.commit != 0
            });
            if !agrees {
                return Ok(false);
            }
            self.index.reserve(header.max_frame)?;
            self.generation = Some(generation);
        }
        self.published = header;
        Ok(true)
    }

    /// Rebuilds the wal-index from the WAL, as SQLite does when a connection finds none.
    fn recover(&mut self, context: &Context<S>, deadline: Deadline) -> Result<(), ApplyError> {
        let lock = || ApplyError::io("lock", Kind::Shm);
        let mut recovering = None;
        let locked = deadline.wait_for(context, || {
            recovering = self.shm.recover()?;
            Ok(recovering.is_some())
        });
        if !locked.map_err(lock())? {
            return Err(ApplyError::Busy(Lock::WalIndex));
        }
        let generation = wal_scan::read_header(&self.wal).map_err(ApplyError::io("read", Kind::Wal))?;
        // A connection that had seen another header with the same values would keep its cache.
        let change = context.random("draw a random number for", Kind::Shm)?;
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
        if self.index.reserve(header.max_frame.max(1))? {
            context.resized(Kind::Shm)?;
        }
        self.index.rebuild(&pages)?;
        self.index.forget_checkpoint(header.max_frame)?;
        for mark in 1..=4 {
            if let Some(_alone) = self.shm.readers(mark).map_err(lock())? {
                let first = mark == 1 && header.max_frame > 0;
                self.index.set_mark(mark, if first { header.max_frame } else { NOT_USED })?;
            }
        }
        drop(recovering);
        self.generation = generation.filter(|_| header.max_frame > 0);
        self.publish(header)
    }

    /// Publishes the transactions that are whole in the WAL after those that are published.
    ///
    /// Only accepted transactions ever get whole into the WAL, and each one accepted is the log's too.
    fn publish_unpublished(&mut self, context: &Context<S>) -> Result<(), ApplyError> {
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
        self.index.append(self.frames() + 1, &pages[..committed])?;
        self.generation = Some(generation);
        self.found_unpublished = true;
        self.publish(next)
    }
}

/// Joins those who have the wal-index mapped; the first one begins it anew. False while another is doing so.
fn join<S: System>(context: &Context<S>, shm: &ShmLock<S::Locks>) -> Result<bool, ApplyError> {
    let lock = || ApplyError::io("lock", Kind::Shm);
    if shm.only_user().map_err(lock())? {
        context.reset_index()?;
    }
    shm.user().map_err(lock())
}
