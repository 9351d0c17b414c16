use std::fs;
use std::sync::{Arc, Mutex, MutexGuard};

use fuser::BackingId;
use litefs_core::{DatabaseName, File};

use super::inodes::{Names, lock};
use crate::databases::DatabaseFiles;

/// One file the kernel knows.
#[derive(Debug)]
pub(crate) struct Inode {
    /// What the kernel calls it.
    pub(crate) number: u64,
    lookups: Mutex<u64>,
    state: Mutex<State>,
}

/// What of an inode can change.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) target: Target,
    /// Where the table of inodes has it, `None` once the file is removed.
    pub(crate) key: Option<Key>,
    /// The known names of a local file.
    pub(crate) names: Names,
    pub(crate) opening: Opening,
    /// A program tried to fill this empty database with something else.
    pub(crate) was_refused: bool,
}

/// What an inode stands for.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A file of a database.
    Database(Arc<dyn DatabaseFiles>, File),
    /// A file of a database that was removed while programs have it open.
    Removed {
        /// It never held anything, so it is a temporary file like any other.
        was_empty: bool,
    },
    /// A file made up by the daemon.
    Virtual(VirtualName),
    /// A file or directory kept on this node alone; the root directory is one of them.
    Local,
}

/// The files made up by the daemon.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum VirtualName {
    /// `.primary`
    Primary,
    /// `.lag`
    Lag,
    /// `NAME-pos`
    Position(DatabaseName),
    /// `NAME-lock`
    HaltLock(DatabaseName),
}

/// What makes two lookups find the same inode.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Key {
    Virtual(VirtualName),
    /// The database by its address, because its name can change. The inode keeps the database alive.
    Database(usize, File),
    /// Device and inode number of the backing file.
    Local(u64, u64),
}

impl Key {
    pub(crate) fn database(database: &Arc<dyn DatabaseFiles>, file: File) -> Self {
        Self::Database(Arc::as_ptr(database).cast::<()>() as usize, file)
    }

    pub(crate) fn local(stat: &rustix::fs::Stat) -> Self {
        Self::Local(stat.st_dev, stat.st_ino)
    }
}

/// The open handles of an inode. The kernel wants all of them to be served in one way, so the first one decides.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// How many handles are open.
    pub(crate) count: u64,
    /// Through which the daemon itself reads and writes, present while `count` is not 0.
    pub(crate) backing: Option<Arc<fs::File>>,
    /// Present where the kernel reads and writes the backing file without asking the daemon.
    pub(crate) passthrough: Option<Arc<BackingId>>,
    /// The kernel has old content, which the next handle must not find.
    pub(crate) is_old: bool,
}

impl Inode {
    pub(crate) fn new(number: u64, target: Target, key: Option<Key>) -> Self {
        let state =
            State { target, key, names: Names::new(), opening: Opening::default(), was_refused: false };
        Self { number, lookups: Mutex::new(0), state: Mutex::new(state) }
    }

    /// How many references the kernel holds.
    pub(crate) fn lookups(&self) -> MutexGuard<'_, u64> {
        lock(&self.lookups)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn target(&self) -> Target {
        self.state().target.clone()
    }

    /// The database whose file this is, if the kernel reads and writes it without asking the daemon.
    pub(crate) fn passed_through_database(&self) -> Option<Arc<dyn DatabaseFiles>> {
        let state = self.state();
        match &state.target {
            Target::Database(database, File::Database) if state.opening.passthrough.is_some() => {
                Some(Arc::clone(database))
            }
            _ => None,
        }
    }

    /// The daemon's own handle, if programs have the file open.
    pub(crate) fn backing(&self) -> Option<Arc<fs::File>> {
        self.state().opening.backing.clone()
    }

    /// The file was removed: from now on only open handles have it.
    pub(crate) fn remove(&self) {
        self.state().target = Target::Removed { was_empty: false };
    }
}
