use core::time::Duration;

use super::ApplyError;
use crate::database::Received;
use crate::drive::Driver;
use crate::{Disk, Errno};

/// The driver of a database that programs write to at the same time, each having it for a moment.
///
/// Whoever uses the applier has it alone for as long as a function here runs, and takes the driver only after it.
pub trait SharedDriver {
    /// The disk of the driver.
    type Disk: Disk;

    /// Does something with the driver as soon as nobody else does.
    ///
    /// # Errors
    /// The node has ended meanwhile.
    fn with_driver<T>(&self, work: impl FnOnce(&mut Driver<Self::Disk>) -> T) -> Result<T, Errno>;

    /// Whether the node stops, and nothing is to be waited for any more.
    fn is_leaving(&self) -> bool;

    /// A received transaction has been waiting for `waited`, because of this.
    fn waits(&self, reason: &ApplyError, waited: Duration);

    /// A received transaction is what the database is now.
    fn received(&self, driver: &Driver<Self::Disk>, received: &Received);

    /// Makes what is in the log durable while the database goes on. If that fails, the driver is told.
    fn sync_log(&self);

    /// Makes the database file durable while the database goes on.
    ///
    /// # Errors
    /// What the disk answered.
    fn sync_database(&self) -> Result<(), Errno>;
}
