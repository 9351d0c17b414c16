//! Error numbers between the operating system, the core and the kernel protocol.

use std::io;

use litefs_core::Errno;

/// The number of an error of the standard library, EIO for one that has none.
pub(crate) fn of_io(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno)
}

/// The number of an error of a system call.
pub(crate) fn of_call(error: rustix::io::Errno) -> Errno {
    Errno(error.raw_os_error())
}

/// The number as the kernel protocol has it.
pub(crate) fn to_kernel(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno.0)
}
