use super::{Applier, ApplyError, SharedDriver, System};
use crate::database::Authority;
use crate::{Errno, Now};

/// Why a database cannot take transactions of programs.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// What was applied cannot be made durable.
    #[error("cannot take over the database: {0}")]
    Applied(#[from] ApplyError),
    /// The log cannot note where this node's own transactions begin.
    #[error("cannot write the log: {0}")]
    Log(#[from] Errno),
}

/// Says whether transactions of programs may be committed in a database from now on, and brings it into a state that
/// suits that. Returns whether a transaction was committed for it: the pages that a LiteFS primary left out, for this node
/// is to send whole databases from now on.
///
/// A database that has stopped commits nothing whatever is said, and is no reason against a role.
///
/// # Errors
/// The database commits nothing.
pub fn set_authority<D: SharedDriver, S: System>(
    driver: &D,
    applier: Option<&mut Applier<S>>,
    authority: Authority,
    now: Now,
) -> Result<bool, RoleError> {
    let mut repaired = false;
    let stopped = driver.with_driver(|driver| driver.database().stopped().is_some())?;
    if authority != Authority::ReadOnly && !stopped {
        applier.map_or(Ok(()), Applier::detach)?;
        repaired = driver.with_driver(|driver| {
            driver.promote()?;
            Ok::<_, Errno>(driver.database().is_read_only() && driver.repair(now)?)
        })??;
    }
    driver.with_driver(|driver| driver.set_authority(authority))?;
    Ok(repaired)
}
