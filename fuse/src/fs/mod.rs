//! The file system: from the kernel's requests to the databases, local files and files made up by the daemon.
//!
//! Locks stay in the kernel and never arrive here. Nothing here waits for a notification to the kernel, because such a
//! notification can wait for the very request that is being served.

mod attributes;
mod counters;
mod create;
mod decide;
mod dispatch;
mod errno;
mod file_system;
mod handles;
mod inode;
mod inodes;
mod io;
mod listing;
mod local_dir;
mod lookup;
mod names;
mod open;
mod remove;
mod rename;
mod set_attributes;
mod virtual_file;

pub(crate) use dispatch::Dispatch;
pub(crate) use errno::of_io;
pub(crate) use file_system::FileSystem;
pub(crate) use inode::Key;
pub(crate) use inodes::{Inodes, ROOT, lock};
pub(crate) use names::file_name;
