//! Real SQLite connections beside an applier.
//!
//! The connections are in processes of their own: a process that closes any handle of a file loses the POSIX locks it
//! has there, and this one opens and closes the files all the time. Here the files of the mount are the backing files,
//! which needs no kernel to be told anything; the locks and the mappings are the same.

mod client;
mod locks;
mod modes;
mod mounted;
mod page_count;
mod recovery;
mod source;
mod wal_readers;

use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use litefs_core::apply::{ApplyError, Change, Lock};
use litefs_core::database::{Applied, JournalMode};
use litefs_core::{Errno, File};

use super::{Applier, Files, Kernel, Paths, RealSystem};
use client::Client;
use source::{Source, Transaction};

/// Long enough that only a real deadlock gets there.
const PATIENCE: Duration = Duration::from_secs(20);
/// Short enough to be waited for in vain.
const IMPATIENCE: Duration = Duration::from_millis(20);

/// For files that are their own backing files.
#[derive(Debug, Default)]
struct NoCache {
    /// Refuses to be told of changes to the WAL.
    fails: Arc<AtomicBool>,
}

impl Kernel for NoCache {
    fn sync_log(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn store(&self, file: File, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.invalidate(file, offset..offset + bytes.len() as u64)
    }

    fn invalidate(&self, file: File, _range: Range<u64>) -> Result<(), Errno> {
        if file == File::Wal && self.fails.load(Ordering::Relaxed) { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    fn resized(&self, _file: File) -> Result<(), Errno> {
        Ok(())
    }

    fn created(&self, _file: File) -> Result<(), Errno> {
        Ok(())
    }

    fn removed(&self, _file: File) -> Result<(), Errno> {
        Ok(())
    }
}

/// A node's copy of a database.
struct Replica {
    dir: tempfile::TempDir,
    applier: Applier,
    /// Makes the kernel refuse.
    kernel_fails: Arc<AtomicBool>,
}

impl Replica {
    /// Without content, as a node that has just heard of the database creates it.
    fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("db"), b"").unwrap();
        let kernel_fails = Arc::default();
        let applier = applier(dir.path(), &kernel_fails);
        Self { dir, applier, kernel_fails }
    }

    /// With all that `source` has.
    fn of(source: &Source) -> Self {
        let mut replica = Self::empty();
        replica.apply(&source.snapshot()).unwrap();
        replica
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.dir.path().join(format!("db{suffix}"))
    }

    fn apply(&mut self, transaction: &Transaction) -> Result<Applied, ApplyError> {
        self.apply_within(transaction, PATIENCE)
    }

    fn apply_within(&mut self, transaction: &Transaction, wait: Duration) -> Result<Applied, ApplyError> {
        let mut pages = transaction.pages.iter();
        let change = Change {
            page_size: transaction.page_size,
            commit: transaction.commit,
            pages: &mut pages,
            journal_mode: transaction.journal_mode,
            snapshot: transaction.snapshot,
        };
        self.applier.apply(change, wait)
    }

    /// What is left when the daemon is killed and comes back: its locks are gone, the files are as they are.
    fn restart(&mut self) {
        self.kernel_fails = Arc::default();
        self.applier = applier(self.dir.path(), &self.kernel_fails);
    }

    fn connect(&self) -> Client {
        Client::open(&self.path(""))
    }

    /// Whether the database file is, byte by byte, what the source's is.
    fn assert_file_is(&self, source: &Source) {
        let found = std::fs::read(self.path("")).unwrap();
        assert_eq!(found.len(), source.image().len(), "lengths differ");
        assert!(found == source.image(), "contents differ");
    }
}

fn applier(dir: &Path, kernel_fails: &Arc<AtomicBool>) -> Applier {
    let file = |suffix: &str| dir.join(format!("db{suffix}"));
    let files = Files { database: file(""), journal: file("-journal"), wal: file("-wal"), shm: file("-shm") };
    let paths = Paths { mount: files.clone(), maps_backing_shm: true, backing: files };
    Applier::new(RealSystem::new(paths, Box::new(NoCache { fails: Arc::clone(kernel_fails) })))
}

fn is_wal(applied: &Applied) -> bool {
    matches!(applied, Applied::Wal { .. })
}

fn mode_of(page: &[u8]) -> JournalMode {
    if page[18..20] == [2, 2] { JournalMode::Wal } else { JournalMode::Rollback }
}
