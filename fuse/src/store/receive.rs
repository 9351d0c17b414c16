//! Transactions from elsewhere.

use std::time::{Duration, Instant};

use litefs_core::apply::{ApplyError, Change};
use litefs_core::database::{Admission, Received, StopReason};
use litefs_core::{Errno, Position, ReadAt};

use super::clock::now;
use super::database::Database;
use super::lock;
use super::ltx_file::LtxPages;
use crate::DatabaseFiles;

/// How long to wait before a full disk is tried again.
const SPACE_WAIT: Duration = Duration::from_secs(1);

/// How long a received transaction waits for programs that are in the way, before it is tried again.
const APPLY_WAIT: Duration = Duration::from_secs(5);

/// Why a received transaction could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It does not fit the database, or the log could not take it.
    #[error(transparent)]
    Refused(#[from] litefs_core::database::ApplyError),
    /// It is in the log, and its pages could not be written; they are at the next try or start.
    #[error("cannot apply the transaction: {0}")]
    Apply(#[from] ApplyError),
    /// There is no mount yet.
    #[error("the mount is not ready")]
    NotReady,
}

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
        {
            let mut driver = self.driver();
            if driver.receive(received, file, len)? == Admission::Old {
                return Ok(driver.position());
            }
        }
        let applier = applier.as_mut().ok_or(ReceiveError::NotReady)?;
        let started = Instant::now();
        let applied = loop {
            let mut pages = LtxPages::new(file, len);
            let change = Change {
                page_size: received.header.page_size,
                commit: received.header.commit,
                pages: &mut pages,
                journal_mode: received.journal_mode.unwrap_or_else(|| self.published.get().journal_mode),
                snapshot: received.header.is_snapshot(),
            };
            match applier.apply(change, APPLY_WAIT) {
                Ok(applied) => break applied,
                // It is in the log: there is no way back, only waiting for whoever is in the way, or for space.
                Err(ApplyError::Busy(lock)) if !self.is_leaving() => {
                    let name = self.name();
                    tracing::warn!(%name, %lock, waited = ?started.elapsed(), "a received transaction waits for a program");
                }
                Err(error) if error.is_for_want_of_space() && !self.is_leaving() => {
                    let name = self.name();
                    tracing::error!(%name, waited = ?started.elapsed(), "a received transaction waits for space: {error}");
                    std::thread::sleep(SPACE_WAIT);
                }
                Err(error) => {
                    self.driver().database_mut().stop(StopReason::Unapplied(Errno::EIO));
                    return Err(error.into());
                }
            }
        };
        let mut driver = self.driver();
        driver.applied(received, applied).map_err(litefs_core::database::ApplyError::from)?;
        self.counters.received(now().wall_ms - received.header.timestamp_ms);
        self.publish(&driver);
        self.ring();
        Ok(driver.position())
    }
}
