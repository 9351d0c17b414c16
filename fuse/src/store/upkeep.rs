//! What the log writer's thread does for a database.

use std::sync::atomic::Ordering;

use litefs_core::apply::{self, HouseKept, lacks_page_count};
use litefs_core::database::StopReason;
use litefs_core::log::Retention;
use litefs_core::sqlite::wal_index;
use litefs_core::{Disk, Errno, File, View};

use super::clock::now;
use super::database::Database;
use super::lock;
use crate::DatabaseFiles;
use crate::apply::Applier;

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

    /// Makes the log durable.
    ///
    /// # Errors
    /// That failed, now or before, and the database has stopped.
    pub(crate) fn make_log_durable(&self) -> Result<(), Errno> {
        self.sync_log();
        match self.driver().database().stopped() {
            Some(_) => Err(Errno::EIO),
            None => Ok(()),
        }
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
    /// With `look`, also where no writer has tried to write over them yet.
    pub(super) fn publish_in_doubt(&self, look: bool) {
        let Some(in_doubt) = self.driver().take_in_doubt(look) else { return };
        let mut applier = lock(&self.applier);
        let Some(applier) = applier.as_mut() else { return };
        match apply::publish_in_doubt(self, applier, in_doubt) {
            Ok(true) => {
                tracing::info!(name = %self.name(), "published the transactions of a writer that died")
            }
            Ok(false) => {}
            Err(error) => {
                tracing::error!(name = %self.name(), "cannot publish committed transactions: {error}")
            }
        }
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
        let kept = apply::keep_house(self, applier.as_mut(), retention, now().wall_ms);
        let Ok(HouseKept { checkpointed, synced, saved, expired }) = kept else { return };
        let name = self.name();
        if let Err(error) = checkpointed {
            tracing::warn!(%name, "cannot checkpoint: {error}");
        }
        if let Err(errno) = synced {
            tracing::error!(%name, %errno, "cannot sync the database file; what it lacks stays in the log");
        }
        if let Err(errno) = saved {
            tracing::warn!(%name, %errno, "cannot save the page checksums; the next start takes longer");
        }
        match expired {
            None | Some(Ok(0)) => {}
            Some(Ok(segments)) => {
                self.counters.removed(segments);
                tracing::debug!(%name, segments, "old transactions removed");
            }
            Some(Err(errno)) => tracing::warn!(%name, %errno, "cannot remove old transactions"),
        }
    }
}
