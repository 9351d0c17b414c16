//! Whether the kernel can read and write backing files by itself.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use fuser::BackingId;

/// `f_type` of overlayfs (linux/magic.h).
const OVERLAYFS: i64 = 0x794c_7630;

/// How many file systems are stacked where the backing files are, this one included: the kernel wants to know it before
/// it passes anything through, and takes no mount of its own for a lower layer of another one above it.
pub(crate) fn stack_depth(backing: &Path) -> u32 {
    match rustix::fs::statfs(backing) {
        Ok(status) if status.f_type == OVERLAYFS => 2,
        _ => 1,
    }
}

/// Tries passthrough on a file that has no name.
///
/// # Errors
/// Why there is none: `EPERM` without `CAP_SYS_ADMIN` or on a kernel before 6.9, `ELOOP` where file systems are stacked
/// too deep.
pub(crate) fn try_passthrough(device: impl AsFd, backing: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, Mode, OFlags};

    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file: fs::File = rustix::fs::openat(CWD, backing, flags, Mode::RUSR | Mode::WUSR)?.into();
    let id = BackingId::create_raw(device.as_fd(), &file)?;
    close_backing(device, id)
}

/// Gives a backing file back, which fuser does only for ids made in a reply.
fn close_backing(device: impl AsFd, id: u32) -> io::Result<()> {
    use rustix::ioctl::{Setter, ioctl, opcode};

    /// `FUSE_DEV_IOC_BACKING_CLOSE` (linux/fuse.h).
    const BACKING_CLOSE: rustix::ioctl::Opcode = opcode::write::<u32>(229, 2);
    // SAFETY: the request reads one u32 through the pointer it is given and writes nothing.
    unsafe { ioctl(device, Setter::<BACKING_CLOSE, u32>::new(id)) }?;
    Ok(())
}
