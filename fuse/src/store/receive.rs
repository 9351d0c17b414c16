//! Transactions from elsewhere.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use litefs_core::apply::{self, ApplyError, ReceiveError, SharedDriver};
use litefs_core::database::Received;
use litefs_core::drive::Driver;
use litefs_core::{Disk, Errno, File, Position, ReadAt};

use super::clock::now;
use super::database::Database;
use super::lock;
use super::real_disk::RealDisk;
use crate::DatabaseFiles;

impl Database {
    /// Keeps programs from writing until [`Self::release`].
    ///
    /// # Errors
    /// They did not let go in time, or there is no mount yet.
    pub(super) fn hold(&self, wait: Duration) -> Result<(), ApplyError> {
        match lock(&self.applier).as_mut() {
            Some(applier) => applier.hold(wait),
            None => Ok(()),
        }
    }

    /// Ends [`Self::hold`].
    ///
    /// # Errors
    /// What the kernel answered.
    pub(super) fn release(&self) -> Result<(), ApplyError> {
        match lock(&self.applier).as_mut() {
            Some(applier) => applier.release(),
            None => Ok(()),
        }
    }

    /// Takes a verified LTX file of `len` bytes from elsewhere, in which this is, and applies it.
    ///
    /// # Errors
    /// See [`ReceiveError`]. Readers see the state before.
    pub fn receive(
        &self,
        received: &Received,
        file: &dyn ReadAt,
        len: u64,
    ) -> Result<Position, ReceiveError> {
        let mut applier = lock(&self.applier);
        apply::receive(self, applier.as_mut(), received, file, len)
    }
}

impl SharedDriver for Database {
    type Disk = Arc<RealDisk>;

    fn with_driver<T>(&self, work: impl FnOnce(&mut Driver<Self::Disk>) -> T) -> Result<T, Errno> {
        Ok(work(&mut self.driver()))
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    fn waits(&self, reason: &ApplyError, waited: Duration) {
        let name = self.name();
        match reason {
            ApplyError::Busy(lock) => {
                tracing::warn!(%name, %lock, ?waited, "a received transaction waits for a program");
            }
            error => tracing::error!(%name, ?waited, "a received transaction waits for space: {error}"),
        }
    }

    fn received(&self, driver: &Driver<Self::Disk>, received: &Received) {
        self.counters.received(now().wall_ms - received.header.timestamp_ms);
        self.publish(driver);
        self.ring();
    }

    fn sync_log(&self) {
        self.sync_log();
    }

    fn sync_database(&self) -> Result<(), Errno> {
        self.disk.sync(File::Database)
    }
}
