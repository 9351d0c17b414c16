//! The databases of a node on the real disk.

mod clock;
mod counts;
mod data_dir;
mod database;
mod images;
mod import;
mod log_writer;
mod ltx_file;
mod published;
mod real_disk;
mod receive;
mod role;
mod scratch;
mod snapshot;
mod takeover;
mod upkeep;
mod wal_ahead;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

pub use clock::now;
pub use counts::Counts;
pub use data_dir::{DataDir, DataDirError};
pub use database::{Database, LtxRange};
pub use import::ImportError;
pub use litefs_core::apply::ReceiveError;
pub use log_writer::Watcher;
pub use published::Facts;
pub use real_disk::RealDisk;
pub use role::RoleCell;
pub use scratch::scratch_file;
pub use snapshot::{ExportReader, SnapshotReader};
pub use takeover::TakeoverError;

use database::SEGMENT_LEN_MAX;
use litefs_core::database::{Authority, Options, Request};
use litefs_core::drive::{OpenError, Recovered};
use litefs_core::log::Retention;
use litefs_core::{DatabaseName, Errno, File, NodeId, Planted};
use log_writer::{Doorbell, LogWriter, Registry};
use takeover::{TakenOver, take_over};

use crate::{DatabaseFiles, Databases};

/// Captured transactions that may wait for the log before a writer has to help.
const BACKLOG_MAX: usize = 4096;

/// How a node keeps its databases.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Where.
    pub data_dir: PathBuf,
    /// This node.
    pub node_id: NodeId,
    /// Whether new LTX files are compressed.
    pub compress: bool,
    /// How long transactions are kept.
    pub retention: Retention,
    /// How often it is looked for transactions that retention does not keep; `None` is never. Not more often than every
    /// ten seconds.
    pub retention_interval: Option<Duration>,
    /// Read and compare the whole database after each transaction: slow, to find out where damage comes from.
    pub strict_verify: bool,
}

/// Why the databases of a node cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A database cannot be used as it is.
    #[error("open databases: open database(\"{name}\"): {source}")]
    Database {
        /// Which one.
        name: DatabaseName,
        /// Why.
        source: OpenError,
    },
    /// A database that LiteFS left cannot be taken over.
    #[error("open databases: take over database(\"{name}\") of LiteFS: {source}")]
    Takeover {
        /// Which one.
        name: DatabaseName,
        /// Why.
        source: TakeoverError,
    },
    /// The log writer's thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// All databases of a node.
pub struct Store {
    data_dir: DataDir,
    local_dir: PathBuf,
    options: Options,
    strict_verify: bool,
    databases: Mutex<BTreeMap<DatabaseName, Arc<Database>>>,
    authority: Mutex<Authority>,
    role: RoleCell,
    doorbell: Arc<Doorbell>,
    watcher: Mutex<Option<Arc<dyn Watcher>>>,
    /// How databases get their way to apply transactions, once there is a mount.
    equip: Mutex<Option<Equip>>,
    log_writer: Mutex<Option<LogWriter>>,
}

/// Makes the applier of a database.
type Equip = Box<dyn Fn(&Arc<Database>) -> crate::apply::Applier + Send>;

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens all databases of a data directory, recovering each.
    ///
    /// # Errors
    /// The directory or one of the databases cannot be used. Nothing was thrown away.
    pub fn open(options: &StoreOptions) -> Result<Arc<Self>, StoreError> {
        let data_dir = DataDir::open(&options.data_dir)?;
        let machine = Options {
            node_id: options.node_id,
            compress: options.compress,
            backlog_max: BACKLOG_MAX,
            planted: Planted::default(),
        };
        let store = Arc::new(Self {
            local_dir: data_dir.local_dir(),
            data_dir,
            options: machine,
            strict_verify: options.strict_verify,
            databases: Mutex::new(BTreeMap::new()),
            authority: Mutex::new(Authority::ReadOnly),
            role: RoleCell::default(),
            doorbell: Arc::new(Doorbell::default()),
            watcher: Mutex::new(None),
            equip: Mutex::new(None),
            log_writer: Mutex::new(None),
        });
        for name in store.data_dir.database_names()? {
            let database = store.open_database(&name)?;
            lock(&store.databases).insert(name, database);
        }
        let registry: Weak<Self> = Arc::downgrade(&store);
        let writer = LogWriter::start(
            Arc::clone(&store.doorbell),
            registry,
            options.retention,
            options.retention_interval,
        );
        *lock(&store.log_writer) = Some(writer.map_err(StoreError::Thread)?);
        Ok(store)
    }

    fn open_database(&self, name: &DatabaseName) -> Result<Arc<Database>, StoreError> {
        let directory = self.data_dir.database_dir(name);
        let taken_over = take_over(&directory, SEGMENT_LEN_MAX)
            .map_err(|source| StoreError::Takeover { name: name.clone(), source })?;
        if let Some(TakenOver { position, first, absent, kept }) = taken_over {
            let (first, kept) = (first.unwrap_or_else(|| position.txid.next()), kept.display());
            tracing::info!(
                %name, %position, %first, pages_left_out = absent,
                "database of LiteFS taken over; its transaction files are in {kept} and may be deleted"
            );
        }
        let doorbell = Arc::clone(&self.doorbell);
        let (database, recovered) = Database::open(
            name.clone(),
            &directory,
            &self.local_dir,
            self.options,
            doorbell,
            self.strict_verify,
        )
        .map_err(|source| StoreError::Database { name: name.clone(), source })?;
        tell(name, &recovered);
        Ok(database)
    }

    /// The data directory.
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// This node's part in the cluster, as programs on the mount see it.
    pub fn role(&self) -> &RoleCell {
        &self.role
    }

    /// This node's options for its databases.
    pub fn node_id(&self) -> NodeId {
        self.options.node_id
    }

    /// Tells somebody what happens to the databases from now on.
    pub fn set_watcher(&self, watcher: Arc<dyn Watcher>) {
        *lock(&self.watcher) = Some(watcher);
    }

    /// Gives all databases, those to come included, their way to apply transactions beside programs.
    pub fn set_equip(&self, equip: impl Fn(&Arc<Database>) -> crate::apply::Applier + Send + 'static) {
        let mut slot = lock(&self.equip);
        for database in self.all() {
            database.set_applier(Some(equip(&database)));
        }
        *slot = Some(Box::new(equip));
    }

    /// Prepares the end: received transactions do not wait for programs or for space any more. What is in the log and
    /// not applied is applied at the next start.
    pub fn leave(&self) {
        for database in self.all() {
            database.leave();
        }
    }

    /// Takes the appliers away again, with all they hold of the mount.
    pub fn unequip(&self) {
        *lock(&self.equip) = None;
        for database in self.all() {
            database.set_applier(None);
        }
    }

    /// Says whether transactions may be committed on this node from now on.
    ///
    /// # Errors
    /// A database's log could not be written; no database gets the authority then.
    pub fn set_authority(&self, authority: Authority) -> Result<(), Errno> {
        let mut current = lock(&self.authority);
        for database in self.all() {
            if let Err(errno) = database.set_authority(authority) {
                for database in self.all() {
                    let _ = database.set_authority(Authority::ReadOnly);
                }
                *current = Authority::ReadOnly;
                return Err(errno);
            }
        }
        *current = authority;
        Ok(())
    }

    /// Lets transactions be committed on this node for longer, if they may be at all.
    pub fn extend_authority(&self, longer: Authority) {
        let mut current = lock(&self.authority);
        *current = current.extended_to(longer);
        for database in self.all() {
            database.extend_authority(longer);
        }
    }

    /// The database of this name.
    pub fn get(&self, name: &DatabaseName) -> Option<Arc<Database>> {
        lock(&self.databases).get(name).cloned()
    }

    /// All databases by name, dropped ones included.
    pub fn all(&self) -> Vec<Arc<Database>> {
        lock(&self.databases).values().cloned().collect()
    }

    /// The database of this name, which is created without content if need be.
    ///
    /// # Errors
    /// What the disk answered.
    pub fn get_or_create(&self, name: &DatabaseName) -> Result<Arc<Database>, Errno> {
        // Held all the way, so that two callers cannot open one directory twice.
        let authority = lock(&self.authority);
        if let Some(database) = self.get(name) {
            return Ok(database);
        }
        self.data_dir.create_database_dir(name).map_err(|error| real_disk::errno(&error))?;
        let database = self.open_database(name).map_err(|error| {
            tracing::error!(%name, "{error}");
            Errno::EIO
        })?;
        database.set_authority(*authority)?;
        if let Some(equip) = lock(&self.equip).as_ref() {
            database.set_applier(Some(equip(&database)));
        }
        lock(&self.databases).insert(name.clone(), Arc::clone(&database));
        Ok(database)
    }

    /// Refuses early what a full disk would stop halfway: a copy in the database file and one in the log.
    fn check_room_for_copy(&self, source: &Database) -> Result<(), Errno> {
        let disk = rustix::fs::statvfs(&self.local_dir).map_err(|error| Errno(error.raw_os_error()))?;
        let needed = source.len(File::Database)?.unwrap_or(0).saturating_mul(2);
        if disk.f_bavail.saturating_mul(disk.f_frsize) < needed { Err(Errno::ENOSPC) } else { Ok(()) }
    }

    /// Closes all databases so that the next start has nothing to recover. Nobody may have them open.
    pub fn close(&self) {
        self.unequip();
        if let Some(mut writer) = lock(&self.log_writer).take() {
            writer.stop();
        }
        for database in self.all() {
            if let Err(errno) = database.close() {
                tracing::warn!(name = %database.name(), %errno, "not closed cleanly; the next start recovers it");
            }
        }
    }
}

impl Registry for Store {
    fn find(&self, name: &DatabaseName) -> Option<Arc<Database>> {
        self.get(name)
    }

    fn all(&self) -> Vec<Arc<Database>> {
        Self::all(self)
    }

    fn watcher(&self) -> Option<Arc<dyn Watcher>> {
        lock(&self.watcher).clone()
    }
}

impl Databases for Store {
    fn database(&self, name: &DatabaseName) -> Option<Arc<dyn DatabaseFiles>> {
        self.get(name).map(|database| database as Arc<dyn DatabaseFiles>)
    }

    fn databases(&self) -> Vec<Arc<dyn DatabaseFiles>> {
        self.all().into_iter().map(|database| database as Arc<dyn DatabaseFiles>).collect()
    }

    fn create(&self, name: &DatabaseName) -> Result<Arc<dyn DatabaseFiles>, Errno> {
        let database = self.get_or_create(name)?;
        if database.len(File::Database)?.is_none() {
            database.request(Request::Create(File::Database))?;
        }
        Ok(database)
    }

    fn rename(&self, from: &DatabaseName, to: &DatabaseName) -> Result<(), Errno> {
        if *lock(&self.authority) == Authority::ReadOnly {
            return Err(Errno::EACCES);
        }
        let source = self.get(from).ok_or(Errno::ENOENT)?;
        self.check_room_for_copy(&source)?;
        let mut kept = None;
        if let Some(replaced) = self.get(to).filter(|database| database.len(File::Database) != Ok(None)) {
            if replaced.page_count() > 0 {
                // Until the new content is there, a failure must not leave less than there was.
                let copy = replaced.keep_aside(self.data_dir.path());
                kept = Some(copy.map_err(|error| real_disk::errno(&error))?);
            }
            replaced.request(Request::Remove(File::Database))?;
        }
        let target = self.create(to)?;
        // Replicas know databases by name: for them the new name is a database with new content, and the old one is
        // dropped. In this order, a crash in between leaves the content under the old name at least. Nobody can have
        // the new file open, and it must not be opened here either: while it renames, the kernel lets nobody look into
        // the directory.
        if source.page_count() > 0
            && let Err(errno) = copy(&source, &*target)
        {
            tracing::error!(%from, %to, %errno, ?kept, "cannot rename a database; what it should replace is kept aside");
            target.request(Request::Remove(File::Database))?;
            return Err(errno);
        }
        if let Some(kept) = kept
            && let Err(error) = std::fs::remove_file(&kept)
        {
            tracing::warn!(path = %kept.display(), %error, "cannot remove the copy of a database that was replaced");
        }
        source.request(Request::Remove(File::Database))
    }

    fn local_dir(&self) -> &Path {
        &self.local_dir
    }

    fn is_primary(&self) -> bool {
        self.role.is_primary()
    }

    fn primary_hostname(&self) -> Option<String> {
        self.role.primary_hostname()
    }

    fn lag_ms(&self) -> i64 {
        self.role.lag_ms().unwrap_or_else(|| i64::from(i32::MAX))
    }
}

/// Bytes copied at once.
const COPY_PIECE: usize = 1 << 20;

/// Writes the content of `source` to the empty database `target` as one transaction.
fn copy(source: &Database, target: &dyn DatabaseFiles) -> Result<(), Errno> {
    use std::io::Read as _;

    let mut content = source.export().map_err(|error| real_disk::errno(&error))?;
    let mut piece = Vec::with_capacity(COPY_PIECE);
    let mut offset = 0;
    loop {
        piece.clear();
        let taken = content.by_ref().take(COPY_PIECE as u64).read_to_end(&mut piece);
        if taken.map_err(|error| real_disk::errno(&error))? == 0 {
            break;
        }
        target.request(Request::Write { file: File::Database, offset, data: &piece })?;
        offset += piece.len() as u64;
    }
    target.request(Request::Sync(File::Database))
}

/// Tells the operator what recovery did, where it did anything.
fn tell(name: &DatabaseName, recovered: &Recovered) {
    for damage in &recovered.damage {
        tracing::error!(
            %name, segment = damage.segment, offset = damage.offset,
            "the log is damaged; the database is whole, but older transactions cannot be sent to peers"
        );
    }
    let Recovered { position, rolled_back, captured, redone, adopted, trimmed, scanned, .. } = recovered;
    if *rolled_back || *captured > 0 || *redone > 0 || *adopted || *trimmed > 0 || *scanned {
        tracing::info!(%name, %position, rolled_back, captured, redone, adopted, trimmed, scanned, "database recovered");
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
