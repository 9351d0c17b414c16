use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use litefs_core::File;

use crate::plan::FileSystem;
use crate::rng::Rng;
use crate::unsynced_file::{Mercy, UnsyncedFile};

/// The disk of a simulated machine, with a line between what was written and what survives a loss of power.
///
/// Nothing here fails. Which operation fails is the business of [`Faults`](crate::faults::Faults).
///
/// A copy is cheap and independent: checkers try things on copies.
#[derive(Clone, Debug)]
pub(crate) struct MachineDisk {
    file_system: FileSystem,
    files: BTreeMap<u64, UnsyncedFile>,
    next_file: u64,
    names: BTreeMap<Path, u64>,
    durable_names: BTreeMap<Path, u64>,
    /// What leads from the durable names to the current ones, each with its number among all changes of metadata.
    unsynced_names: Vec<(u64, NameChange)>,
    /// The number of the latest change of a name or a length, and of the latest one that a journal made durable.
    metadata: u64,
    journaled: u64,
    /// Files that a process has open, and how often: they stay when their names go.
    open: BTreeMap<u64, usize>,
}

/// Where a file is. Directories are as deep as the data directory of the daemon needs: one for each database, and the
/// one that programs see.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Path {
    /// A file that the machine of a database governs.
    Governed(Rc<str>, File),
    /// A file that nobody governs, like a super-journal.
    Plain(Rc<str>),
}

impl Path {
    /// Whether only the machine writes to it.
    pub(crate) fn is_log(&self) -> bool {
        matches!(self, Self::Governed(_, File::Segment(_) | File::Sums | File::SumsNew | File::Unjournaled))
    }

    fn same_directory(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Governed(one, _), Self::Governed(other, _)) => one == other,
            (Self::Plain(_), Self::Plain(_)) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Governed(database, file) => write!(f, "{database}/{file:?}"),
            Self::Plain(name) => f.write_str(name),
        }
    }
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(Path, u64),
    Unlink(Path),
    Rename(Path, Path, u64),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<Path, u64>) {
        match self {
            Self::Link(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Unlink(path) => {
                names.remove(path);
            }
            Self::Rename(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Link(path, _) | Self::Unlink(path) | Self::Rename(path, _, _) => path,
        }
    }
}

impl MachineDisk {
    /// An empty disk.
    pub(crate) fn new(file_system: FileSystem) -> Self {
        Self {
            file_system,
            files: BTreeMap::new(),
            next_file: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            metadata: 0,
            journaled: 0,
            open: BTreeMap::new(),
        }
    }

    /// What it promises.
    pub(crate) fn file_system(&self) -> FileSystem {
        self.file_system
    }

    /// Reads up to `buf.len()` bytes, none where the file is missing.
    pub(crate) fn read_at(&self, path: &Path, offset: u64, buf: &mut [u8]) -> usize {
        self.file(path).map_or(0, |file| file.current().read_at(offset, buf))
    }

    /// Length in bytes, `None` where the file is missing.
    pub(crate) fn len(&self, path: &Path) -> Option<u64> {
        self.file(path).map(|file| file.current().len())
    }

    /// Which file it is, whatever its name. `None` where it is missing.
    pub(crate) fn inode(&self, path: &Path) -> Option<u64> {
        self.names.get(path).copied()
    }

    /// Opens a file: it stays as long as it is open, whatever becomes of its name.
    pub(crate) fn open(&mut self, path: &Path) -> Option<u64> {
        let inode = self.inode(path)?;
        *self.open.entry(inode).or_default() += 1;
        Some(inode)
    }

    /// Closes a file that was opened.
    pub(crate) fn close(&mut self, inode: u64) {
        if let Some(count) = self.open.get_mut(&inode) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&inode);
            }
        }
    }

    /// As [`Self::read_at`], of an open file.
    pub(crate) fn read_open(&self, inode: u64, offset: u64, buf: &mut [u8]) -> usize {
        self.files.get(&inode).map_or(0, |file| file.current().read_at(offset, buf))
    }

    /// As [`Self::len`], of an open file.
    pub(crate) fn len_open(&self, inode: u64) -> u64 {
        self.files.get(&inode).map_or(0, |file| file.current().len())
    }

    /// The numbers of a database's log segments, ascending.
    pub(crate) fn segments(&self, database: &str) -> Vec<u64> {
        self.names
            .keys()
            .filter_map(|path| match path {
                Path::Governed(name, File::Segment(number)) if &**name == database => Some(*number),
                _ => None,
            })
            .collect()
    }

    /// Writes all of `data`, creating the file where it is missing.
    pub(crate) fn write_at(&mut self, path: &Path, offset: u64, data: &[u8]) {
        self.create(path).write_at(offset, data);
    }

    /// Cuts or extends the file, creating it where it is missing.
    pub(crate) fn set_len(&mut self, path: &Path, len: u64) {
        let sequence = self.metadata + 1;
        let file = self.create(path);
        if file.current().len() != len {
            file.set_len(len, sequence);
            self.metadata = sequence;
        }
    }

    /// Makes the file's content durable. Under ext4 that commits the journal, and with it every change of a name.
    pub(crate) fn sync(&mut self, path: &Path) {
        if let Some(file) = self.file_mut(path) {
            file.sync();
            self.commit_journal();
        }
    }

    /// What a sync that fails does to the file: what was not durable never will be.
    pub(crate) fn forget_unsynced(&mut self, path: &Path) {
        if let Some(file) = self.file_mut(path) {
            file.forget_unsynced();
        }
    }

    /// Makes names in the directory of `path` durable.
    pub(crate) fn sync_directory(&mut self, path: &Path) {
        self.sync_names(|changed| changed.same_directory(path));
        self.commit_journal();
    }

    /// Removes a name, if it is there.
    pub(crate) fn remove(&mut self, path: &Path) {
        if self.names.contains_key(path) {
            self.change_name(NameChange::Unlink(path.clone()));
        }
    }

    /// Gives the file `from` the name `to`; a missing one changes nothing.
    pub(crate) fn rename(&mut self, from: &Path, to: &Path) {
        if let Some(file) = self.names.get(from) {
            self.change_name(NameChange::Rename(from.clone(), to.clone(), *file));
        }
    }

    /// What is left after a loss of power.
    pub(crate) fn lose_power(&mut self, rng: &mut Rng) {
        // A journal keeps changes of metadata in order. POSIX promises nothing about a directory that was not synced.
        let journaled =
            (self.file_system == FileSystem::Ext4).then(|| rng.between(self.journaled, self.metadata));
        let mercy = Mercy::draw(rng);
        let changes = std::mem::take(&mut self.unsynced_names);
        let prefix = rng.index(changes.len() + 1);
        for (at, (sequence, change)) in changes.iter().enumerate() {
            let kept = match (journaled, mercy) {
                (Some(last), _) => *sequence <= last,
                (None, Mercy::None) => false,
                (None, Mercy::All) => true,
                (None, Mercy::Prefix) => at < prefix,
                (None, Mercy::Scattered) => rng.percent(50),
            };
            if kept {
                change.apply(&mut self.durable_names);
            }
        }
        self.journaled = self.metadata;
        self.names = self.durable_names.clone();
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        self.files.retain(|file, _| named.contains(file));
        let common = rng.percent(50).then(|| Mercy::draw(rng));
        for file in self.files.values_mut() {
            let mercy = common.unwrap_or_else(|| Mercy::draw(rng));
            file.lose_power(mercy, journaled, rng);
        }
    }

    fn file(&self, path: &Path) -> Option<&UnsyncedFile> {
        self.files.get(self.names.get(path)?)
    }

    fn file_mut(&mut self, path: &Path) -> Option<&mut UnsyncedFile> {
        self.files.get_mut(self.names.get(path)?)
    }

    fn create(&mut self, path: &Path) -> &mut UnsyncedFile {
        let file = match self.names.get(path) {
            Some(file) => *file,
            None => {
                self.next_file += 1;
                self.change_name(NameChange::Link(path.clone(), self.next_file));
                self.next_file
            }
        };
        self.files.entry(file).or_default()
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.metadata += 1;
        self.unsynced_names.push((self.metadata, change));
    }

    /// A journal commits everything that is in it.
    fn commit_journal(&mut self) {
        if self.file_system == FileSystem::Ext4 {
            self.journaled = self.metadata;
            self.sync_names(|_| true);
        }
    }

    fn sync_names(&mut self, which: impl Fn(&Path) -> bool) {
        let (synced, unsynced) = std::mem::take(&mut self.unsynced_names)
            .into_iter()
            .partition(|(_, change)| which(change.path()));
        self.unsynced_names = unsynced;
        let synced: Vec<(u64, NameChange)> = synced;
        for (_, change) in synced {
            change.apply(&mut self.durable_names);
        }
        // Files without any name are garbage; an application's journal leaves one a transaction.
        if self.unsynced_names.is_empty() && self.files.len() > 2 * self.names.len() + 16 {
            let names = &self.names;
            let named = names.values().chain(self.durable_names.values()).chain(self.open.keys());
            let named: BTreeSet<u64> = named.copied().collect();
            self.files.retain(|file, _| named.contains(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(name: &str) -> Path {
        Path::Plain(name.into())
    }

    fn names(disk: &MachineDisk) -> Vec<String> {
        disk.names.keys().map(Path::to_string).collect()
    }

    /// What can be there after a loss of power, over many seeds.
    fn outcomes(disk: &MachineDisk) -> BTreeSet<Vec<String>> {
        (0..200)
            .map(|seed| {
                let mut disk = disk.clone();
                disk.lose_power(&mut Rng::new(seed));
                names(&disk)
            })
            .collect()
    }

    #[test]
    fn file_sync_keeps_the_name_under_ext4_and_not_under_posix() {
        for (file_system, always) in [(FileSystem::Ext4, true), (FileSystem::Posix, false)] {
            let mut disk = MachineDisk::new(file_system);
            disk.write_at(&plain("a"), 0, b"text");
            disk.sync(&plain("a"));
            let outcomes = outcomes(&disk);
            assert!(outcomes.contains(&vec!["a".to_owned()]));
            assert_eq!(!outcomes.contains(&vec![]), always, "{file_system:?}");
        }
    }

    #[test]
    fn removal_is_lost_unless_the_directory_was_synced() {
        let mut disk = MachineDisk::new(FileSystem::Posix);
        disk.write_at(&plain("a"), 0, b"text");
        disk.sync(&plain("a"));
        disk.sync_directory(&plain("a"));
        disk.remove(&plain("a"));
        assert_eq!(outcomes(&disk).len(), 2);
        disk.sync_directory(&plain("a"));
        assert_eq!(outcomes(&disk), [vec![]].into());
    }

    #[test]
    fn rename_shows_one_whole_file_or_the_other() {
        let mut disk = MachineDisk::new(FileSystem::Posix);
        for (name, text) in [("old", b"old"), ("new", b"new")] {
            disk.write_at(&plain(name), 0, text);
            disk.sync(&plain(name));
        }
        disk.sync_directory(&plain("old"));
        disk.rename(&plain("new"), &plain("old"));
        for seed in 0..100 {
            let mut disk = disk.clone();
            disk.lose_power(&mut Rng::new(seed));
            let mut text = [0; 3];
            assert_eq!(disk.read_at(&plain("old"), 0, &mut text), 3);
            assert_eq!(&text, if disk.len(&plain("new")).is_some() { b"old" } else { b"new" });
        }
    }
}
