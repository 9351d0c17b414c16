use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use litefs_core::Errno;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, StatVfs, Timestamps, Uid,
};

use super::errno::of_call;

/// The backing directory of the files that are kept on this node alone.
///
/// Every path is resolved beneath it and through no symbolic link: the daemon is root, and a user who swaps a directory
/// for a link must not make it touch files elsewhere.
#[derive(Debug)]
pub(crate) struct LocalDir(OwnedFd);

/// Where a local file is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The directory, relative to the root, empty for the root.
    pub(crate) parent: PathBuf,
    /// The name in it; `.` for the root itself.
    pub(crate) name: OsString,
}

impl Place {
    pub(crate) fn root() -> Self {
        Self::in_root(OsStr::new("."))
    }

    pub(crate) fn in_root(name: &OsStr) -> Self {
        Self { parent: PathBuf::new(), name: name.to_owned() }
    }

    /// The place of `name` in the directory that is here.
    pub(crate) fn child(&self, name: &OsStr) -> Self {
        let parent = if self.name == "." { PathBuf::new() } else { self.parent.join(&self.name) };
        Self { parent, name: name.to_owned() }
    }
}

/// Who a new file belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl LocalDir {
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, path, flags, Mode::empty()).map(Self).map_err(of_call)
    }

    fn open_beneath(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve).map_err(of_call)
    }

    fn parent(&self, place: &Place) -> Result<OwnedFd, Errno> {
        let path = if place.parent.as_os_str().is_empty() { Path::new(".") } else { &place.parent };
        self.open_beneath(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    pub(crate) fn stat(&self, place: &Place) -> Result<Stat, Errno> {
        rustix::fs::statat(self.parent(place)?, &place.name, AtFlags::SYMLINK_NOFOLLOW).map_err(of_call)
    }

    pub(crate) fn file_system(&self) -> Result<StatVfs, Errno> {
        rustix::fs::fstatvfs(&self.0).map_err(of_call)
    }

    /// A handle to read and write with, or only to read where the file does not allow more now (a running program).
    pub(crate) fn open_file(&self, place: &Place) -> Result<fs::File, Errno> {
        let parent = self.parent(place)?;
        let open = |access| {
            let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
            rustix::fs::openat(&parent, &place.name, flags, Mode::empty())
        };
        match open(OFlags::RDWR) {
            Err(rustix::io::Errno::TXTBSY) => open(OFlags::RDONLY),
            opened => opened,
        }
        .map(fs::File::from)
        .map_err(of_call)
    }

    pub(crate) fn create_file(&self, place: &Place, mode: u32, owner: Owner) -> Result<fs::File, Errno> {
        let parent = self.parent(place)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(&parent, &place.name, flags, Mode::from_raw_mode(mode)).map_err(of_call)?;
        self.adopt(&parent, &place.name, mode, owner)?;
        Ok(fs::File::from(file))
    }

    pub(crate) fn create_dir(&self, place: &Place, mode: u32, owner: Owner) -> Result<(), Errno> {
        let parent = self.parent(place)?;
        rustix::fs::mkdirat(&parent, &place.name, Mode::from_raw_mode(mode)).map_err(of_call)?;
        let is_shared = rustix::fs::fstat(&parent).map_err(of_call)?.st_mode & Mode::SGID.as_raw_mode();
        self.adopt(&parent, &place.name, mode | is_shared, owner)
    }

    /// Creates a FIFO, socket or regular file.
    pub(crate) fn create_node(&self, place: &Place, mode: u32, owner: Owner) -> Result<(), Errno> {
        let parent = self.parent(place)?;
        let (kind, permissions) = (FileType::from_raw_mode(mode), Mode::from_raw_mode(mode));
        if !matches!(kind, FileType::RegularFile | FileType::Fifo | FileType::Socket) {
            return Err(Errno::EPERM);
        }
        rustix::fs::mknodat(&parent, &place.name, kind, permissions, 0).map_err(of_call)?;
        self.adopt(&parent, &place.name, mode, owner)
    }

    pub(crate) fn create_symlink(&self, place: &Place, target: &Path, owner: Owner) -> Result<(), Errno> {
        let parent = self.parent(place)?;
        rustix::fs::symlinkat(target, &parent, &place.name).map_err(of_call)?;
        chown(&parent, &place.name, group_of_new(&parent, owner)?)
    }

    /// Gives a new file its owner and, because the daemon's umask took bits away and `chown` others, its mode.
    fn adopt(&self, parent: &OwnedFd, name: &OsStr, mode: u32, owner: Owner) -> Result<(), Errno> {
        chown(parent, name, group_of_new(parent, owner)?)?;
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(mode), AtFlags::empty()).map_err(of_call)
    }

    pub(crate) fn read_link(&self, place: &Place) -> Result<Vec<u8>, Errno> {
        let target = rustix::fs::readlinkat(self.parent(place)?, &place.name, Vec::new()).map_err(of_call)?;
        Ok(target.into_bytes())
    }

    pub(crate) fn link(&self, from: &Place, to: &Place) -> Result<(), Errno> {
        let (from_dir, to_dir) = (self.parent(from)?, self.parent(to)?);
        rustix::fs::linkat(from_dir, &from.name, to_dir, &to.name, AtFlags::empty()).map_err(of_call)
    }

    pub(crate) fn rename(&self, from: &Place, to: &Place, flags: RenameFlags) -> Result<(), Errno> {
        let (from_dir, to_dir) = (self.parent(from)?, self.parent(to)?);
        rustix::fs::renameat_with(from_dir, &from.name, to_dir, &to.name, flags).map_err(of_call)
    }

    pub(crate) fn unlink(&self, place: &Place) -> Result<(), Errno> {
        rustix::fs::unlinkat(self.parent(place)?, &place.name, AtFlags::empty()).map_err(of_call)
    }

    pub(crate) fn remove_dir(&self, place: &Place) -> Result<(), Errno> {
        rustix::fs::unlinkat(self.parent(place)?, &place.name, AtFlags::REMOVEDIR).map_err(of_call)
    }

    /// Names and kinds in the directory that is here, in the order of the disk.
    pub(crate) fn list(&self, place: &Place) -> Result<Vec<(OsString, FileType)>, Errno> {
        use std::os::unix::ffi::OsStringExt;

        let dir = self.open_beneath(&place.parent.join(&place.name), OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(dir).map_err(of_call)? {
            let entry = entry.map_err(of_call)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push((OsString::from_vec(name.to_vec()), entry.file_type()));
            }
        }
        Ok(names)
    }

    /// Makes names in the directory that is here durable.
    pub(crate) fn sync_dir(&self, place: &Place) -> Result<(), Errno> {
        let dir = self.open_beneath(&place.parent.join(&place.name), OFlags::RDONLY | OFlags::DIRECTORY)?;
        rustix::fs::fsync(dir).map_err(of_call)
    }

    pub(crate) fn set_mode(&self, place: &Place, mode: u32) -> Result<(), Errno> {
        let parent = self.parent(place)?;
        rustix::fs::chmodat(parent, &place.name, Mode::from_raw_mode(mode), AtFlags::empty()).map_err(of_call)
    }

    pub(crate) fn set_owner(&self, place: &Place, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        let parent = self.parent(place)?;
        rustix::fs::chownat(parent, &place.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(of_call)
    }

    pub(crate) fn set_times(&self, place: &Place, times: &Timestamps) -> Result<(), Errno> {
        let parent = self.parent(place)?;
        rustix::fs::utimensat(parent, &place.name, times, AtFlags::SYMLINK_NOFOLLOW).map_err(of_call)
    }
}

/// A new file in a set-group-id directory belongs to the directory's group.
fn group_of_new(parent: &OwnedFd, owner: Owner) -> Result<Owner, Errno> {
    let parent = rustix::fs::fstat(parent).map_err(of_call)?;
    let is_shared = parent.st_mode & Mode::SGID.as_raw_mode() != 0;
    Ok(if is_shared { Owner { gid: parent.st_gid, ..owner } } else { owner })
}

/// A daemon that is not root cannot give files away: they are its own then, which is what its user expects.
fn chown(parent: &OwnedFd, name: &OsStr, owner: Owner) -> Result<(), Errno> {
    let (uid, gid) = (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)));
    match rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::PERM) => Ok(()),
        result => result.map_err(of_call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_through_a_symbolic_link_or_upwards_is_refused() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret"), "kept").unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.path().join("link")).unwrap();
        std::os::unix::fs::symlink("link/secret", inside.path().join("to-secret")).unwrap();
        let dir = LocalDir::open(inside.path()).unwrap();
        let owner = Owner { uid: 0, gid: 0 };
        let link = Place::in_root("link".as_ref());
        let secret = link.child("secret".as_ref());
        let eloop = Errno(40);
        assert_eq!(dir.stat(&secret).map(drop), Err(eloop));
        assert_eq!(dir.open_file(&secret).map(drop), Err(eloop));
        assert_eq!(dir.unlink(&secret), Err(eloop));
        assert_eq!(dir.set_mode(&secret, 0o777), Err(eloop));
        assert_eq!(dir.create_file(&link.child("new".as_ref()), 0o600, owner).map(drop), Err(eloop));
        assert_eq!(dir.list(&link).map(drop), Err(eloop));
        assert_eq!(dir.open_file(&Place::in_root("to-secret".as_ref())).map(drop), Err(eloop));
        let above = Place { parent: PathBuf::from(".."), name: "x".into() };
        assert_eq!(dir.stat(&above).map(drop), Err(Errno::EXDEV));
        assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "kept");
    }

    #[test]
    fn new_file_in_a_shared_directory_belongs_to_its_group() {
        let root = tempfile::tempdir().unwrap();
        let dir = LocalDir::open(root.path()).unwrap();
        let shared = Place::in_root("shared".as_ref());
        dir.create_dir(&shared, 0o2775, Owner { uid: 1, gid: 7 }).unwrap();
        dir.create_dir(&shared.child("sub".as_ref()), 0o755, Owner { uid: 2, gid: 2 }).unwrap();
        dir.create_file(&shared.child("file".as_ref()), 0o666, Owner { uid: 2, gid: 2 }).unwrap();
        let stat = dir.stat(&shared.child("file".as_ref())).unwrap();
        assert_eq!((stat.st_uid, stat.st_gid, stat.st_mode & 0o7777), (2, 7, 0o666));
        let stat = dir.stat(&shared.child("sub".as_ref())).unwrap();
        assert_eq!((stat.st_gid, stat.st_mode & 0o7777), (7, 0o2755));
    }
}
