//! What the daemon tells the kernel.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use fuser::INodeNo;
use litefs_core::{DatabaseName, Errno, File};

use crate::databases::DatabaseFiles;
use crate::fs::{Inodes, Key, ROOT, file_name, lock, of_io};

/// Largest piece of a file pushed to the kernel at once, in bytes.
const STORE_PIECE: usize = 64 * 1024;

/// Tells the kernel about changes that no program made through the mount.
///
/// Methods that return a result wait for the kernel, which can wait for programs and for requests being served: they
/// must not be called from a thread that serves the kernel nor with a database's mutex held. The others leave a note
/// for the notifier's own thread and never wait; notes about the same thing are kept once, so they cannot pile up
/// beyond the number of names.
///
/// Before the mount there is nobody to tell, and every method succeeds at once.
#[derive(Clone, Debug)]
pub struct Notifier(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inodes: Arc<Inodes>,
    kernel: OnceLock<fuser::Notifier>,
    notes: Mutex<Notes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Notes {
    pending: BTreeSet<Note>,
    is_closed: bool,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Note {
    /// A name in the root directory means something else now.
    Name(String),
    /// The attributes of an inode have changed.
    Attributes(u64),
    /// The content of an inode has changed, and its attributes.
    Content(u64),
}

impl Notifier {
    pub(crate) fn new(inodes: Arc<Inodes>) -> Self {
        let notes = Mutex::new(Notes::default());
        Self(Arc::new(Shared { inodes, kernel: OnceLock::new(), notes, changed: Condvar::new() }))
    }

    /// Drops cached data of a database's file from `offset` on, `len` bytes or, if 0, all; and its cached length.
    ///
    /// # Errors
    /// What the kernel answered. A file the kernel does not know is a success.
    pub fn invalidate(
        &self,
        database: &Arc<dyn DatabaseFiles>,
        file: File,
        offset: u64,
        len: u64,
    ) -> Result<(), Errno> {
        self.with_inode(database, file, |kernel, number| {
            kernel.inval_inode(number, offset.cast_signed(), len.cast_signed())
        })
    }

    /// Drops only the cached attributes of a database's file, its length above all.
    ///
    /// # Errors
    /// What the kernel answered. A file the kernel does not know is a success.
    pub fn invalidate_attributes(&self, database: &Arc<dyn DatabaseFiles>, file: File) -> Result<(), Errno> {
        self.with_inode(database, file, |kernel, number| kernel.inval_inode(number, -1, 0))
    }

    /// Puts `data` into the kernel's cache of a database's file, as if it had been read from there.
    ///
    /// # Errors
    /// What the kernel answered. A file the kernel does not know is a success.
    pub fn store(
        &self,
        database: &Arc<dyn DatabaseFiles>,
        file: File,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Errno> {
        self.with_inode(database, file, |kernel, number| {
            let offsets = (offset..).step_by(STORE_PIECE);
            data.chunks(STORE_PIECE).zip(offsets).try_for_each(|(piece, at)| kernel.store(number, at, piece))
        })
    }

    fn with_inode(
        &self,
        database: &Arc<dyn DatabaseFiles>,
        file: File,
        tell: impl FnOnce(&fuser::Notifier, INodeNo) -> io::Result<()>,
    ) -> Result<(), Errno> {
        let Some(kernel) = self.0.kernel.get() else { return Ok(()) };
        let Some(inode) = self.0.inodes.find(&Key::database(database, file)) else { return Ok(()) };
        is_heard(tell(kernel, INodeNo(inode.number))).map_err(|error| of_io(&error))
    }

    /// The daemon created a file of a database. Call it after the file is there. Waits for the kernel.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn created(&self, database: &Arc<dyn DatabaseFiles>, file: File) -> Result<(), Errno> {
        self.renew_name(database, file)
    }

    /// The daemon removed a file of a database. Call it after the file has gone. Waits for the kernel.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn removed(&self, database: &Arc<dyn DatabaseFiles>, file: File) -> Result<(), Errno> {
        if let Some(inode) = self.0.inodes.detach(&Key::database(database, file)) {
            inode.remove();
        }
        self.renew_name(database, file)
    }

    /// Has the kernel ask anew what the name of a database's file is.
    fn renew_name(&self, database: &Arc<dyn DatabaseFiles>, file: File) -> Result<(), Errno> {
        let Some(kernel) = self.0.kernel.get() else { return Ok(()) };
        let Some(name) = file_name(&database.name(), file) else { return Ok(()) };
        is_heard(kernel.inval_entry(INodeNo(ROOT), OsStr::new(&name))).map_err(|error| of_io(&error))
    }

    /// The daemon has written to the file with this inode.
    pub(crate) fn content_changed(&self, number: u64) {
        self.note([Note::Content(number)]);
    }

    /// This node became primary, or a replica, or lost or found its primary: modes and `.primary` change.
    pub fn role_changed(&self, databases: &[Arc<dyn DatabaseFiles>]) {
        let known = databases.iter().flat_map(|database| self.0.inodes.files_of(database));
        let attributes = known.map(|(_, number)| Note::Attributes(number));
        self.note(attributes.chain([Note::Attributes(ROOT), Note::Name(".primary".to_owned())]));
    }

    /// The names beside a database may have gone with it.
    pub(crate) fn forget_sidecars(&self, name: &DatabaseName) {
        let files =
            [File::Journal, File::Wal, File::Shm].into_iter().filter_map(|file| file_name(name, file));
        self.note(files.chain([format!("{name}-pos"), format!("{name}-lock")]).map(Note::Name));
    }

    /// A database and all names beside it have gone.
    pub(crate) fn forget_database(&self, name: &DatabaseName) {
        self.note([Note::Name(name.to_string())]);
        self.forget_sidecars(name);
    }

    fn note(&self, new: impl IntoIterator<Item = Note>) {
        lock(&self.0.notes).pending.extend(new);
        self.0.changed.notify_one();
    }

    /// From now on there is a kernel to tell.
    pub(crate) fn attach(&self, kernel: fuser::Notifier) {
        // A notifier belongs to one mount, which attaches it once.
        let _ = self.0.kernel.set(kernel);
    }

    /// Ends [`run`](Self::run).
    pub(crate) fn close(&self) {
        lock(&self.0.notes).is_closed = true;
        self.0.changed.notify_one();
    }

    /// Tells the kernel what is noted, until closed. The body of the notifier's own thread.
    pub(crate) fn run(&self) {
        loop {
            let mut notes = lock(&self.0.notes);
            while notes.pending.is_empty() && !notes.is_closed {
                notes = self.0.changed.wait(notes).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            if notes.is_closed {
                return;
            }
            let pending = std::mem::take(&mut notes.pending);
            drop(notes);
            let Some(kernel) = self.0.kernel.get() else { continue };
            for note in pending {
                let told = match &note {
                    Note::Name(name) => kernel.inval_entry(INodeNo(ROOT), OsStr::new(name)),
                    Note::Attributes(number) => kernel.inval_inode(INodeNo(*number), -1, 0),
                    Note::Content(number) => kernel.inval_inode(INodeNo(*number), 0, 0),
                };
                if let Err(error) = is_heard(told) {
                    tracing::warn!(
                        "the kernel did not take a notification, so it may show old names for a minute: {error}"
                    );
                }
            }
        }
    }
}

/// A file the kernel has dropped by itself, and a kernel that has gone, need no telling.
fn is_heard(told: io::Result<()>) -> io::Result<()> {
    match told {
        Err(error) if matches!(of_io(&error), Errno::ENOENT | Errno::ENOTCONN | Errno::ENODEV) => Ok(()),
        told => told,
    }
}
