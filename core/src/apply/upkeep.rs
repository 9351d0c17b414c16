//! What is done for a database now and then.

use core::time::Duration;

use super::{Applier, ApplyError, SharedDriver, System};
use crate::drive::{Driver, InDoubt};
use crate::log::Retention;
use crate::{Disk, Errno, File};

/// How long publishing for a writer that died waits for one that lives.
const IN_DOUBT_WAIT: Duration = Duration::from_millis(250);

/// Publishes transactions in the wal-index whose writer died after the commit and before it could do so itself, as
/// [`Driver::take_in_doubt`] has found them. Until then the next writer would write over them. True when there were any
/// and somebody to show them to.
///
/// # Errors
/// They cannot be published, and it is not for a program that writes at the moment.
pub fn publish_in_doubt<D: SharedDriver, S: System>(
    driver: &D,
    applier: &mut Applier<S>,
    in_doubt: InDoubt,
) -> Result<bool, ApplyError> {
    let InDoubt { salt, end } = in_doubt;
    match applier.publish_in_doubt(salt, end, IN_DOUBT_WAIT) {
        // Somebody writes at the moment, so somebody is alive to publish; the next round looks again.
        Err(ApplyError::Busy(_)) => Ok(false),
        Err(error) => {
            let wal_end = driver.with_driver(|driver| driver.database().wal_end());
            // A WAL that is gone was given up, and everything in it was copied to where it belongs.
            let is_gone = wal_end.is_ok_and(|end| end.is_none_or(|(now, _)| now != salt));
            if is_gone { Ok(false) } else { Err(error) }
        }
        published => published,
    }
}

/// How [`keep_house`] went. What failed is tried again the next time.
#[derive(Debug)]
pub struct HouseKept {
    /// Whether what is applied was copied to the database file as far as readers allow, and made durable.
    pub checkpointed: Result<(), ApplyError>,
    /// Whether the database file was made durable. What it lacks stays in the log.
    pub synced: Result<(), Errno>,
    /// Whether the page checksums were saved. Otherwise the next start takes longer.
    pub saved: Result<(), Errno>,
    /// How many segments of the log went, if retention was asked for.
    pub expired: Option<Result<usize, Errno>>,
}

/// Saves the point that recovery starts from and, with `retention`, lets go of old transactions.
///
/// # Errors
/// The node has ended meanwhile.
pub fn keep_house<D: SharedDriver, S: System>(
    driver: &D,
    applier: Option<&mut Applier<S>>,
    retention: Option<Retention>,
    now_ms: i64,
) -> Result<HouseKept, Errno> {
    let checkpointed = applier.map_or(Ok(()), |applier| applier.checkpoint().and_then(|_| applier.sync()));
    let synced = sync_before_save(driver)?;
    driver.with_driver(|driver| {
        note_wal_given_up(driver);
        let saved = driver.save();
        let expired = retention.map(|retention| driver.expire(retention, now_ms));
        HouseKept { checkpointed, synced, saved, expired }
    })
}

/// Syncs what is to be saved while the database goes on: programs wait for those of saving itself.
fn sync_before_save<D: SharedDriver>(driver: &D) -> Result<Result<(), Errno>, Errno> {
    if !driver.with_driver(|driver| driver.is_save_due().unwrap_or(false))? {
        return Ok(Ok(()));
    }
    driver.sync_log();
    let synced = driver.sync_database();
    if synced.is_err() {
        driver.with_driver(Driver::database_sync_failed)?;
    }
    Ok(synced)
}

/// Of a WAL that is empty now, the applier was the last to use it.
fn note_wal_given_up<D: Disk>(driver: &mut Driver<D>) {
    let database = driver.database();
    if database.wal_end().is_some()
        && database.is_read_only()
        && matches!(driver.disk().len(File::Wal), Ok(None | Some(0)))
    {
        driver.database_mut().wal_given_up();
    }
}
