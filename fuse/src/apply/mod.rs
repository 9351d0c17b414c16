//! What the core's applier works on, on a real node: files and locks of the mount, backing files, and the kernel.
//!
//! Nothing of the mount is ever mapped into the daemon: the kernel waits for the threads that serve it while it unmaps
//! such a file, and they for the kernel to be done with the daemon's memory.

mod kernel;
mod ofd_locks;
mod paths;
mod read_ahead;
mod real_file;
mod real_system;
mod shm_bytes;
mod shm_map;

#[cfg(test)]
mod tests;

pub use kernel::Kernel;
pub use ofd_locks::OfdLocks;
pub use paths::{Files, Paths};
pub use real_file::RealFile;
pub use real_system::RealSystem;
pub use shm_bytes::ShmBytes;

use litefs_core::Errno;

/// Changes one database of this node beside the programs that have it open.
pub type Applier = litefs_core::apply::Applier<RealSystem>;

/// The error number in an I/O error; EIO for the few that the standard library makes up itself.
fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno)
}
