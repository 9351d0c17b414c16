//! What the log writer's thread does for a database.

use std::sync::atomic::Ordering;
use std::time::Duration;

use litefs_core::apply::{ApplyError, lacks_page_count};
use litefs_core::database::StopReason;
use litefs_core::log::Retention;
use litefs_core::sqlite::{wal, wal_index};
use litefs_core::{Disk, Errno, File, View};

use super::clock::now;
use super::database::Database;
use super::lock;
use crate::DatabaseFiles;
use crate::apply::Applier;

/// How long publishing for a writer that died waits for one that lives.
const IN_DOUBT_WAIT: Duration = Duration::from_millis(250);

impl Database {
    /// Appends what is captured to the log; returns whether there is something to sync.
    pub(super) fn append_pending(&self) -> bool {
        let mut driver = self.driver();
        let appended = driver.append_pending();
        if let (Err(errno), Some(error)) = (appended, driver.take_append_error()) {
            let name = self.name();
            tracing::error!(%name, %errno, "commits are refused until the transaction log can be written: {error}");
        }
        self.publish(&driver);
        driver.log_sync_plan().is_some()
    }

    /// Makes the log durable. The sync itself happens while the database goes on.
    pub(super) fn sync_log(&self) {
        let (plan, segment) = {
            let driver = self.driver();
            let Some(plan) = driver.log_sync_plan() else { return };
            (plan, driver.disk().existing(File::Segment(plan.segment)))
        };
        let synced = segment.and_then(|segment| match segment {
            Some(segment) => segment.sync_data().map_err(|error| super::real_disk::errno(&error)),
            None => Err(Errno::ENOENT),
        });
        let mut driver = self.driver();
        let synced = match synced {
            Ok(()) if plan.directory => driver.disk().sync_directory(),
            other => other,
        };
        match synced {
            Ok(()) => driver.log_synced(plan),
            Err(errno) => {
                tracing::error!(name = %self.name(), "the database stops: {}", StopReason::LogSync(errno));
                driver.log_sync_failed(errno);
            }
        }
        self.publish(&driver);
    }

    /// Publishes transactions in the wal-index whose writer died after the commit and before it could do so itself.
    /// Until then the next writer would write over them. With `look`, also where no writer has tried to yet.
    pub(super) fn publish_in_doubt(&self, look: bool) {
        let doubted = self.driver().database_mut().take_in_doubt();
        if !doubted && !look {
            return;
        }
        let Some((salt, end)) = self.driver().database().wal_end() else { return };
        if !self.is_unpublished(salt, end, doubted) {
            return;
        }
        let mut applier = lock(&self.applier);
        let Some(applier) = applier.as_mut() else { return };
        match applier.publish_in_doubt(salt, end, IN_DOUBT_WAIT) {
            Ok(true) => {
                tracing::info!(name = %self.name(), "published the transactions of a writer that died")
            }
            Ok(false) => {}
            // Somebody writes at the moment, so somebody is alive to publish; the next round looks again.
            Err(ApplyError::Busy(_)) => {}
            // The WAL is gone, and everything in it was copied to where it belongs.
            Err(_) if self.driver().database().wal_end().is_none_or(|(now, _)| now != salt) => {}
            Err(error) => {
                tracing::error!(name = %self.name(), "cannot publish committed transactions: {error}")
            }
        }
    }

    /// Whether the wal-index ends before the committed frames of this WAL do. Where it has another WAL, `doubted` decides:
    /// it can be one that is about to begin, or the one before. A wal-index that is not valid shows nothing to anybody,
    /// and whoever needs it sets it up anew from the WAL.
    fn is_unpublished(&self, salt: [u32; 2], end: u64, doubted: bool) -> bool {
        let mut head = [0; wal_index::HEADER_LEN];
        let read = self.disk.read_at(File::Shm, 0, &mut head);
        let (Ok(wal_index::HEADER_LEN), Some(header)) = (read, wal_index::Header::decode(&head)) else {
            return false;
        };
        if header.salt != salt {
            return doubted;
        }
        let Some(page_size) = header.page_size else { return doubted };
        let frame_len = wal::FRAME_HEADER_LEN as u64 + u64::from(page_size.get());
        wal::HEADER_LEN as u64 + u64::from(header.max_frame) * frame_len < end
    }

    /// Has the wal-index say how many pages the database has, if programs ask the kernel because it does not. Where
    /// somebody is in the way, the next to ask has it tried again.
    pub(super) fn show_page_count(&self) {
        if !self.length_asked.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut head = [0; wal_index::HEADER_LEN];
        let read = self.disk.read_at(File::Shm, 0, &mut head);
        let (Ok(wal_index::HEADER_LEN), Some(header)) = (read, wal_index::Header::decode(&head)) else {
            return;
        };
        if !lacks_page_count(&header) {
            return;
        }
        let Some(mut applier) = self.idle_applier() else { return };
        let shown = applier.as_mut().map_or(Ok(false), Applier::show_page_count);
        if let Err(error) = shown {
            tracing::debug!(name = %self.name(), "cannot show the number of pages: {error}");
        }
    }

    /// Has the kernel read pages of the WAL before they are written, where the frames get close to them.
    pub(super) fn read_wal_ahead(&self) {
        let Some(due) = self.wal_ahead.due() else { return };
        let Some(applier) = self.idle_applier() else { return };
        if let Some(applier) = applier.as_ref()
            && let Err(error) = applier.system().read_wal_ahead(&due)
        {
            tracing::debug!(name = %self.name(), "cannot read the WAL ahead of its writer: {error}");
        }
        self.wal_ahead.done(&due);
    }

    /// Saves the point that recovery starts from and, with `retention`, lets go of old transactions.
    pub(super) fn keep_house(&self, retention: Option<Retention>) {
        // A transaction that waits for a program, or for space, can wait long: nobody waits for it here.
        let Some(mut applier) = self.idle_applier() else { return };
        if let Some(applier) = applier.as_mut()
            && let Err(error) = applier.checkpoint().and_then(|_| applier.sync())
        {
            tracing::warn!(name = %self.name(), "cannot checkpoint: {error}");
        }
        self.sync_before_save();
        let mut driver = self.driver();
        let in_wal = driver.database().wal_end().is_some();
        if in_wal
            && driver.database().is_read_only()
            && matches!(self.disk.len(File::Wal), Ok(None | Some(0)))
        {
            // The applier was the last to use it.
            driver.database_mut().wal_given_up();
        }
        if let Err(errno) = driver.save() {
            tracing::warn!(name = %self.name(), %errno, "cannot save the page checksums; the next start takes longer");
        }
        let Some(retention) = retention else { return };
        match driver.expire(retention, now().wall_ms) {
            Ok(0) => {}
            Ok(segments) => {
                self.counters.removed(segments);
                tracing::debug!(name = %self.name(), segments, "old transactions removed");
            }
            Err(errno) => tracing::warn!(name = %self.name(), %errno, "cannot remove old transactions"),
        }
    }

    /// Syncs what is to be saved while the database goes on: programs wait for those of saving itself.
    fn sync_before_save(&self) {
        if !self.driver().is_save_due().unwrap_or(false) {
            return;
        }
        self.sync_log();
        if let Err(errno) = self.disk.sync(File::Database) {
            tracing::error!(name = %self.name(), %errno, "cannot sync the database file; what it lacks stays in the log");
            self.driver().database_sync_failed();
        }
    }
}
