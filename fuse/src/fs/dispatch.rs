//! The kernel protocol: each request goes to the file system, each result back in the form the kernel wants.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags,
    PollNotifier, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use litefs_core::Errno;

use super::attributes::NONE;
use super::counters::Operation;
use super::create::NewFile;
use super::errno::to_kernel;
use super::file_system::FileSystem;
use super::local_dir::Owner;
use super::lookup::Found;
use super::set_attributes::Changes;

/// Largest write taken in one request, in bytes: several times SQLite's largest page.
const MAX_WRITE: u32 = 1 << 20;

/// Numbers are never used again, so there is one generation of them.
const GENERATION: Generation = Generation(0);

/// Receives the kernel's requests.
#[derive(Debug)]
pub(crate) struct Dispatch {
    pub(crate) file_system: Arc<FileSystem>,
    /// How deep file systems may be stacked beneath this one, or 0 to do without passthrough.
    pub(crate) stack_depth: u32,
}

impl Dispatch {
    fn begin(&self, operation: Operation) -> &FileSystem {
        self.file_system.count(operation);
        &self.file_system
    }
}

fn owner(request: &Request) -> Owner {
    Owner { uid: request.uid(), gid: request.gid() }
}

fn answer(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(to_kernel(errno)),
    }
}

fn answer_entry(reply: ReplyEntry, result: Result<Found, Errno>) {
    match result {
        Ok(Found::Inode { attr, attr_ttl, entry_ttl, .. }) => {
            reply.entry_with_ttls(&attr_ttl, &entry_ttl, &attr, GENERATION);
        }
        // Inode 0 makes the kernel remember that there is nothing.
        Ok(Found::Missing(ttl)) if !ttl.is_zero() => reply.entry(&ttl, &nothing(), GENERATION),
        Ok(Found::Missing(_)) => reply.error(fuser::Errno::ENOENT),
        Err(errno) => reply.error(to_kernel(errno)),
    }
}

fn nothing() -> FileAttr {
    let time = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: FileType::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}

impl Filesystem for Dispatch {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // No locks, so that they stay in the kernel; no write-back cache, so that writes come at once and in order;
        // invalidation on demand, so that a changed size does not cost the cached pages.
        let wanted = InitFlags::FUSE_EXPLICIT_INVAL_DATA
            | InitFlags::FUSE_ATOMIC_O_TRUNC
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_READDIRPLUS_AUTO;
        for flag in wanted {
            if config.add_capabilities(flag).is_err() {
                tracing::warn!("the kernel's fuse is too old for {flag:?}; going on without");
            }
        }
        if self.stack_depth > 0 && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok() {
            config.set_max_stack_depth(self.stack_depth).map_err(|_| io::ErrorKind::InvalidInput)?;
        }
        config.set_max_write(MAX_WRITE).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer_entry(reply, self.begin(Operation::Lookup).look_up(parent.0, name));
    }

    fn forget(&self, _request: &Request, number: INodeNo, count: u64) {
        self.begin(Operation::Forget).forget(number.0, count);
    }

    fn getattr(&self, _request: &Request, number: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        match self.begin(Operation::Getattr).attributes_of(number.0) {
            Ok((attr, ttl)) => reply.attr(&ttl, &attr),
            Err(errno) => reply.error(to_kernel(errno)),
        }
    }

    fn setattr(
        &self,
        _request: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        len: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _checked: Option<SystemTime>,
        _backed_up: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changes = Changes { mode, uid, gid, len, accessed, modified };
        let file_system = self.begin(Operation::Setattr);
        let result =
            file_system.set_attributes(number.0, &changes).and_then(|inode| file_system.attributes(&inode));
        match result {
            Ok((attr, ttl)) => reply.attr(&ttl, &attr),
            Err(errno) => reply.error(to_kernel(errno)),
        }
    }

    fn readlink(&self, _request: &Request, number: INodeNo, reply: ReplyData) {
        match self.begin(Operation::Readlink).read_link(number.0) {
            Ok(target) => reply.data(&target),
            Err(errno) => reply.error(to_kernel(errno)),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _device: u32,
        reply: ReplyEntry,
    ) {
        let new = NewFile { mode, owner: owner(request) };
        answer_entry(reply, self.begin(Operation::Mknod).create_node(parent.0, name, new));
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let new = NewFile { mode, owner: owner(request) };
        answer_entry(reply, self.begin(Operation::Mkdir).create_dir(parent.0, name, new));
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.begin(Operation::Unlink).unlink(parent.0, name));
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.begin(Operation::Rmdir).remove_dir(parent.0, name));
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let result = self.begin(Operation::Symlink).create_symlink(parent.0, name, target, owner(request));
        answer_entry(reply, result);
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let flags = rustix::fs::RenameFlags::from_bits_retain(flags.bits());
        let result = self.begin(Operation::Rename).rename((parent.0, name), (new_parent.0, new_name), flags);
        answer(reply, result);
    }

    fn link(&self, _request: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer_entry(reply, self.begin(Operation::Link).create_link(number.0, parent.0, name));
    }

    fn open(&self, _request: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let register = |file: &fs::File| reply.open_backing(file);
        match self.begin(Operation::Open).open(number.0, flags, &register) {
            Ok(opened) => match &opened.passthrough {
                Some(id) => reply.opened_passthrough(FileHandle(opened.handle), opened.flags, id),
                None => reply.opened(FileHandle(opened.handle), opened.flags),
            },
            Err(errno) => reply.error(to_kernel(errno)),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let new = NewFile { mode, owner: owner(request) };
        let register = |file: &fs::File| reply.open_backing(file);
        match self.begin(Operation::Create).create(parent.0, name, new, flags, &register) {
            Ok((Found::Inode { attr, attr_ttl, entry_ttl, .. }, opened)) => {
                let (ttl, handle) = (attr_ttl.min(entry_ttl), FileHandle(opened.handle));
                match &opened.passthrough {
                    Some(id) => reply.created_passthrough(&ttl, &attr, GENERATION, handle, opened.flags, id),
                    None => reply.created(&ttl, &attr, GENERATION, handle, opened.flags),
                }
            }
            Ok((Found::Missing(_), _)) => reply.error(fuser::Errno::ENOENT),
            Err(errno) => reply.error(to_kernel(errno)),
        }
    }

    fn read(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.begin(Operation::Read).read(handle.0, offset, size as usize) {
            Ok(data) => reply.data(&data),
            Err(errno) => reply.error(to_kernel(errno)),
        }
    }

    fn write(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.begin(Operation::Write).write(handle.0, offset, data) {
            // The kernel never sends more than `MAX_WRITE`.
            Ok(()) => reply.written(data.len() as u32),
            Err(errno) => reply.error(to_kernel(errno)),
        }
    }

    fn flush(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        answer(reply, self.begin(Operation::Flush).flush(handle.0));
    }

    fn release(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        answer(reply, self.begin(Operation::Release).release(handle.0));
    }

    fn fsync(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        data_only: bool,
        reply: ReplyEmpty,
    ) {
        answer(reply, self.begin(Operation::Fsync).sync(handle.0, data_only));
    }

    fn opendir(&self, _request: &Request, number: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.begin(Operation::Opendir).open_dir(number.0) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_NOFLUSH),
            Err(errno) => reply.error(to_kernel(errno)),
        }
    }

    fn readdir(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let file_system = self.begin(Operation::Readdir);
        let (number, entries) = match file_system.read_dir(handle.0, offset) {
            Ok(read) => read,
            Err(errno) => return reply.error(to_kernel(errno)),
        };
        for (entry, next) in entries.iter().zip(offset + 1..) {
            let number = file_system.number_in_listing(number, &entry.name);
            if reply.add(INodeNo(number), next, entry.kind, &entry.name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let file_system = self.begin(Operation::Readdirplus);
        let (parent, entries) = match file_system.read_dir(handle.0, offset) {
            Ok(read) => read,
            Err(errno) => return reply.error(to_kernel(errno)),
        };
        for (entry, next) in entries.iter().zip(offset + 1..) {
            let is_dot = entry.name == "." || entry.name == "..";
            let full = if is_dot {
                // The kernel takes no attributes from these two.
                let number = INodeNo(file_system.number_in_listing(parent, &entry.name));
                let attr = FileAttr { ino: number, kind: FileType::Directory, ..nothing() };
                reply.add(number, next, &entry.name, &NONE, &attr, GENERATION)
            } else {
                // What has gone since the directory was read is left out.
                let Ok(Found::Inode { inode, attr, attr_ttl, entry_ttl }) =
                    file_system.look_up(parent, &entry.name)
                else {
                    continue;
                };
                let ttl = attr_ttl.min(entry_ttl);
                let full = reply.add(attr.ino, next, &entry.name, &ttl, &attr, GENERATION);
                if full {
                    file_system.forget(inode.number, 1);
                }
                full
            };
            if full {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        answer(reply, self.begin(Operation::Releasedir).release(handle.0));
    }

    fn fsyncdir(
        &self,
        _request: &Request,
        number: INodeNo,
        _handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        let file_system = self.begin(Operation::Fsyncdir);
        if file_system.is_local_allowed() {
            answer(reply, file_system.sync_dir(number.0));
        } else {
            // Names of databases and super-journals are durable when their requests are answered. Told so once, the
            // kernel succeeds at once for SQLite at every rollback journal.
            reply.error(fuser::Errno::ENOSYS);
        }
    }

    fn statfs(&self, _request: &Request, _number: INodeNo, reply: ReplyStatfs) {
        match self.begin(Operation::Statfs).file_system_status() {
            Ok(status) => reply.statfs(
                status.f_blocks,
                status.f_bfree,
                status.f_bavail,
                status.f_files,
                status.f_ffree,
                u32::try_from(status.f_bsize).unwrap_or(4096),
                u32::try_from(status.f_namemax).unwrap_or(255),
                u32::try_from(status.f_frsize).unwrap_or(4096),
            ),
            Err(errno) => reply.error(to_kernel(errno)),
        }
    }

    fn fallocate(
        &self,
        _request: &Request,
        _number: INodeNo,
        handle: FileHandle,
        offset: u64,
        len: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        answer(reply, self.begin(Operation::Fallocate).allocate(handle.0, mode, offset, len));
    }

    // ENOSYS from the following makes the kernel answer by itself from then on: there are no extended attributes
    // (without which it would ask for one at every write), every part of a file is data, and copies are made by reading
    // and writing.

    fn setxattr(
        &self,
        _request: &Request,
        _number: INodeNo,
        _name: &OsStr,
        _value: &[u8],
        _flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn getxattr(&self, _request: &Request, _number: INodeNo, _name: &OsStr, _size: u32, reply: ReplyXattr) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn listxattr(&self, _request: &Request, _number: INodeNo, _size: u32, reply: ReplyXattr) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn removexattr(&self, _request: &Request, _number: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn access(&self, _request: &Request, _number: INodeNo, _mask: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    fn lseek(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        _offset: i64,
        _whence: i32,
        reply: ReplyLseek,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        _flags: IoctlFlags,
        _command: u32,
        _data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(fuser::Errno::ENOTTY);
    }

    fn copy_file_range(
        &self,
        _request: &Request,
        _from: INodeNo,
        _from_handle: FileHandle,
        _from_offset: u64,
        _to: INodeNo,
        _to_handle: FileHandle,
        _to_offset: u64,
        _len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn poll(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        _notifier: PollNotifier,
        _events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }
}
