//! Applies transactions of other nodes to a database that programs may have open.
//!
//! A program reads the database with an unmodified SQLite, so a transaction is applied the way SQLite itself would
//! write it: as frames of the write-ahead log and a new header of the wal-index where readers use those, else to the
//! database file under SQLite's exclusive lock. Every reader sees the state before or the state after, never a mix.
//!
//! Locks are taken through the daemon's own mount, where SQLite takes its locks; data is written to the backing files;
//! the kernel is then told what it must forget ([`Kernel`]). None of this may run on a thread that serves the kernel.
//! Nothing of the mount is ever mapped into the daemon: the kernel waits for the threads that serve it while it unmaps
//! such a file, and they for the kernel to be done with the daemon's memory.

mod applier;
mod change;
mod checked_pages;
mod checkpoint;
mod context;
mod database_lock;
mod deadline;
mod direct;
mod error;
mod kernel;
mod ofd_lock;
mod page_count;
mod paths;
mod shm_bytes;
mod shm_lock;
mod shm_map;
mod wal_ahead;
mod wal_attach;
mod wal_batch;
mod wal_index;
mod wal_index_block;
mod wal_scan;
mod wal_writer;
mod write_lock;

#[cfg(test)]
mod tests;

pub use applier::Applier;
pub use change::{Change, Pages, PagesError};
pub use checkpoint::Checkpoint;
pub use error::{ApplyError, Lock};
pub use kernel::Kernel;
pub use page_count::lacks_page_count;
pub use paths::{Files, Paths};

use litefs_core::Errno;

/// The error number in an I/O error; EIO for the few that the standard library makes up itself.
fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno)
}
