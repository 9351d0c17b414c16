//! The mount of litefs: kernel requests to the database machine, and the real disk under it.

pub mod apply;
mod databases;
mod device;
mod equip;
mod fs;
mod mount;
mod mount_error;
mod mount_point;
mod notify;
mod options;
mod probe;
pub mod store;
mod watchdog;

pub use databases::{DatabaseFiles, Databases};
pub use equip::equip;
pub use mount::{Mount, mount};
pub use mount_error::MountError;
pub use notify::Notifier;
pub use options::{Options, OtherFiles};
