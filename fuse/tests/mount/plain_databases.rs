//! Databases as plain files, without capture: what the mount does can be told from what a store does, and the disk can
//! be made to fail.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use litefs_core::database::{JournalMode, Request};
use litefs_core::{Checksum, DatabaseName, Errno, File, Position, Txid};
use litefs_fuse::{DatabaseFiles, Databases};

/// A directory of databases.
#[derive(Debug)]
pub(crate) struct PlainDatabases {
    dir: PathBuf,
    local: PathBuf,
    known: Mutex<BTreeMap<DatabaseName, Arc<PlainDatabase>>>,
    pub(crate) is_replica: AtomicBool,
}

/// One database: a directory with its four files.
#[derive(Debug)]
pub(crate) struct PlainDatabase {
    name: Mutex<DatabaseName>,
    dir: Mutex<PathBuf>,
    /// Fails writes to a file with an error number, 0 for none.
    pub(crate) fail_writes: Mutex<Option<(File, Errno)>>,
    pub(crate) syncs: AtomicU64,
    pub(crate) closes: AtomicU64,
    pub(crate) transactions: AtomicU64,
    pub(crate) unseen_writes: AtomicBool,
}

fn errno(error: std::io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(5))
}

impl PlainDatabases {
    pub(crate) fn new(dir: &Path) -> Arc<Self> {
        let local = dir.join("local");
        fs::create_dir_all(&local).unwrap();
        fs::set_permissions(&local, fs::Permissions::from_mode(0o777)).unwrap();
        Arc::new(Self {
            dir: dir.to_owned(),
            local,
            known: Mutex::default(),
            is_replica: AtomicBool::new(false),
        })
    }

    pub(crate) fn get(&self, name: &str) -> Arc<PlainDatabase> {
        Arc::clone(&self.known.lock().unwrap()[&DatabaseName::new(name).unwrap()])
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let known = self.known.lock().unwrap();
        let live = known.iter().filter(|(_, database)| database.path(File::Database).exists());
        live.map(|(name, _)| name.to_string()).collect()
    }
}

impl Databases for PlainDatabases {
    fn database(&self, name: &DatabaseName) -> Option<Arc<dyn DatabaseFiles>> {
        self.known.lock().unwrap().get(name).cloned().map(|database| database as _)
    }

    fn databases(&self) -> Vec<Arc<dyn DatabaseFiles>> {
        self.known.lock().unwrap().values().cloned().map(|database| database as _).collect()
    }

    fn create(&self, name: &DatabaseName) -> Result<Arc<dyn DatabaseFiles>, Errno> {
        let mut known = self.known.lock().unwrap();
        let dir = self.dir.join(format!("db-{name}"));
        fs::create_dir_all(&dir).map_err(errno)?;
        let database = known.entry(name.clone()).or_insert_with(|| {
            Arc::new(PlainDatabase {
                name: Mutex::new(name.clone()),
                dir: Mutex::new(dir),
                fail_writes: Mutex::default(),
                syncs: AtomicU64::new(0),
                closes: AtomicU64::new(0),
                transactions: AtomicU64::new(0),
                unseen_writes: AtomicBool::new(false),
            })
        });
        fs::File::create(database.path(File::Database)).map_err(errno)?;
        Ok(Arc::clone(database) as _)
    }

    fn rename(&self, from: &DatabaseName, to: &DatabaseName) -> Result<(), Errno> {
        let mut known = self.known.lock().unwrap();
        let database = known.remove(from).ok_or(Errno::ENOENT)?;
        let dir = self.dir.join(format!("db-{to}"));
        if let Some(replaced) = known.remove(to) {
            let gone = self.dir.join("gone");
            let _ = fs::remove_dir_all(&gone);
            fs::rename(&*replaced.dir.lock().unwrap(), &gone).map_err(errno)?;
            *replaced.dir.lock().unwrap() = gone;
            replaced.request(Request::Remove(File::Database))?;
        }
        fs::rename(&*database.dir.lock().unwrap(), &dir).map_err(errno)?;
        *database.dir.lock().unwrap() = dir;
        *database.name.lock().unwrap() = to.clone();
        known.insert(to.clone(), database);
        Ok(())
    }

    fn local_dir(&self) -> &Path {
        &self.local
    }

    fn is_primary(&self) -> bool {
        !self.is_replica.load(Ordering::SeqCst)
    }

    fn primary_hostname(&self) -> Option<String> {
        (!self.is_primary()).then(|| "node-1".to_owned())
    }

    fn lag_ms(&self) -> i64 {
        if self.is_primary() { 0 } else { 1234 }
    }
}

impl PlainDatabase {
    pub(crate) fn path(&self, file: File) -> PathBuf {
        let name = match file {
            File::Database => "database",
            File::Journal => "journal",
            File::Wal => "wal",
            File::Shm => "shm",
            _ => unreachable!("the mount knows no other files"),
        };
        self.dir.lock().unwrap().join(name)
    }

    fn header(&self) -> [u8; 100] {
        let mut header = [0; 100];
        let _ = self.read_at(File::Database, 0, &mut header);
        header
    }
}

impl DatabaseFiles for PlainDatabase {
    fn name(&self) -> DatabaseName {
        self.name.lock().unwrap().clone()
    }

    fn request(&self, request: Request<'_>) -> Result<(), Errno> {
        match request {
            Request::Create(file) => fs::File::create_new(self.path(file)).map(drop).map_err(errno),
            Request::Write { file, offset, data } => {
                if let Some((failing, errno)) = *self.fail_writes.lock().unwrap()
                    && failing == file
                {
                    return Err(errno);
                }
                self.backing(file)?.write_all_at(data, offset).map_err(errno)
            }
            Request::SetLen { file, len } => self.backing(file)?.set_len(len).map_err(errno),
            Request::Remove(File::Database) => {
                for file in [File::Database, File::Journal, File::Wal, File::Shm] {
                    let _ = fs::remove_file(self.path(file));
                }
                Ok(())
            }
            Request::Remove(file) => {
                if file == File::Journal {
                    self.transactions.fetch_add(1, Ordering::SeqCst);
                }
                fs::remove_file(self.path(file)).map_err(errno)
            }
            Request::Sync(_) => {
                self.syncs.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            Request::Closed => {
                self.closes.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        }
    }

    fn read_at(&self, file: File, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let backing = self.backing(file)?;
        let mut done = 0;
        while done < buf.len() {
            match backing.read_at(&mut buf[done..], offset + done as u64).map_err(errno)? {
                0 => break,
                count => done += count,
            }
        }
        Ok(done)
    }

    fn len(&self, file: File) -> Result<Option<u64>, Errno> {
        match fs::metadata(self.path(file)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(errno(error)),
        }
    }

    fn backing(&self, file: File) -> Result<fs::File, Errno> {
        fs::File::options().read(true).write(true).open(self.path(file)).map_err(errno)
    }

    fn position(&self) -> Position {
        Position { txid: Txid::new(self.transactions.load(Ordering::SeqCst)), checksum: Checksum::EMPTY }
    }

    fn timestamp_ms(&self) -> i64 {
        0
    }

    fn page_count(&self) -> u32 {
        let header = self.header();
        u32::from_be_bytes([header[28], header[29], header[30], header[31]])
    }

    fn journal_mode(&self) -> JournalMode {
        if self.header()[18] == 2 { JournalMode::Wal } else { JournalMode::Rollback }
    }

    fn set_unseen_writes(&self, unseen: bool) {
        self.unseen_writes.store(unseen, Ordering::SeqCst);
    }

    fn extend_wal(&self, len: u64) -> Result<(), Errno> {
        let wal = self.backing(File::Wal)?;
        let found = wal.metadata().map_err(errno)?.len();
        wal.set_len(len.max(found)).map_err(errno)
    }

    /// Nothing is written here but what programs write.
    fn take_overwritten(&self) -> bool {
        false
    }

    /// There is no wal-index to look after here.
    fn length_asked(&self) {}
}
