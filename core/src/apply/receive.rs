use core::time::Duration;

use super::{Applier, ApplyError, Change, LtxPages, SharedDriver, System};
use crate::database::{self, Admission, Received, StopReason};
use crate::{Errno, Position, ReadAt};

/// How long to wait before a full disk is tried again.
const SPACE_WAIT: Duration = Duration::from_secs(1);

/// How long a received transaction waits for programs that are in the way, before it is tried again.
const APPLY_WAIT: Duration = Duration::from_secs(5);

/// Why a received transaction could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It does not fit the database, or the log could not take it.
    #[error(transparent)]
    Refused(#[from] database::ApplyError),
    /// It is in the log, and its pages could not be written; they are at the next try or start.
    #[error("cannot apply the transaction: {0}")]
    Apply(#[from] ApplyError),
    /// There is no mount yet.
    #[error("the mount is not ready")]
    NotReady,
}

impl From<Errno> for ReceiveError {
    fn from(errno: Errno) -> Self {
        Self::Refused(errno.into())
    }
}

/// Takes a verified LTX file of `len` bytes from elsewhere, in which this is, and applies it.
///
/// # Errors
/// See [`ReceiveError`]. Readers see the state before.
pub fn receive<D: SharedDriver, S: System>(
    driver: &D,
    applier: Option<&mut Applier<S>>,
    received: &Received,
    file: &dyn ReadAt,
    len: u64,
) -> Result<Position, ReceiveError> {
    let (admission, position, journal_mode) = driver.with_driver(|driver| {
        let admission = driver.receive(received, file, len)?;
        Ok::<_, database::ApplyError>((admission, driver.position(), driver.database().journal_mode()))
    })??;
    if admission == Admission::Old {
        return Ok(position);
    }
    let applier = applier.ok_or(ReceiveError::NotReady)?;
    let started = applier.system().elapsed();
    let applied = loop {
        let mut pages = LtxPages::new(file, len);
        let change = Change {
            page_size: received.header.page_size,
            commit: received.header.commit,
            pages: &mut pages,
            journal_mode: received.journal_mode.unwrap_or(journal_mode),
            snapshot: received.header.is_snapshot(),
        };
        let error = match applier.apply(change, APPLY_WAIT) {
            Ok(applied) => break applied,
            Err(error) => error,
        };
        // It is in the log: there is no way back, only waiting for whoever is in the way, or for space.
        let is_for_want_of_space = error.is_for_want_of_space();
        let may_pass = is_for_want_of_space || matches!(error, ApplyError::Busy(_));
        if !may_pass || driver.is_leaving() {
            let reason = StopReason::Unapplied(Errno::EIO);
            driver.with_driver(|driver| driver.database_mut().stop(reason))?;
            return Err(error.into());
        }
        driver.waits(&error, applier.system().elapsed().saturating_sub(started));
        if is_for_want_of_space {
            applier.system().sleep(SPACE_WAIT);
        }
    };
    let position = driver.with_driver(|locked| {
        locked.applied(received, applied)?;
        driver.received(locked, received);
        Ok::<_, Errno>(locked.position())
    })??;
    Ok(position)
}
