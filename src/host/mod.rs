//! The node as the network sees it: a store of databases, and the part the node has in its cluster.

mod watcher;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use litefs_core::database::Authority;
use litefs_core::{ClusterId, DatabaseName, Errno, NodeId, Now, Position, ReadAt, Txid};
use litefs_fuse::store::{self, Store};
use litefs_fuse::{DatabaseFiles, Notifier};
use litefs_net::{
    DatabaseCounts, DatabaseStatus, Event, Export, ExportError, HandoffError, Host, Identity, ImportError,
    LtxSource, ReceiveError, ReceivedBytes, ReceivedLtx, Role, Snapshot, Standing,
};
use std::os::unix::fs::FileExt;
use tokio::sync::{broadcast, watch};
use watcher::Broadcaster;

/// A node: its databases and its standing in the cluster.
#[derive(Debug)]
pub(crate) struct Node {
    store: Arc<Store>,
    hostname: String,
    candidate: bool,
    compress: bool,
    cluster_id: Mutex<Option<ClusterId>>,
    standing: watch::Sender<Standing>,
    broadcaster: Arc<Broadcaster>,
    notifier: Notifier,
}

impl Node {
    /// The node that has `store`, called `hostname`.
    pub(crate) fn new(
        store: Arc<Store>,
        hostname: String,
        candidate: bool,
        compress: bool,
        notifier: Notifier,
    ) -> Result<Arc<Self>, store::DataDirError> {
        let cluster_id = store.data_dir().cluster_id()?;
        let broadcaster = Arc::new(Broadcaster::new());
        store.set_watcher(Arc::clone(&broadcaster) as Arc<dyn store::Watcher>);
        let standing = Standing { role: Role::Searching, since_ms: store::now().wall_ms, ready: false };
        Ok(Arc::new(Self {
            store,
            hostname,
            candidate,
            compress,
            cluster_id: Mutex::new(cluster_id),
            standing: watch::Sender::new(standing),
            broadcaster,
            notifier,
        }))
    }

    fn database(&self, name: &DatabaseName) -> io::Result<Arc<store::Database>> {
        self.store.get(name).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "database not found"))
    }

    fn cluster_id(&self) -> MutexGuard<'_, Option<ClusterId>> {
        self.cluster_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for Node {
    fn identity(&self) -> Identity {
        Identity {
            node_id: self.store.node_id(),
            cluster_id: *self.cluster_id(),
            hostname: self.hostname.clone(),
            data_dir: self.store.data_dir().path().display().to_string(),
            candidate: self.candidate,
        }
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    fn now(&self) -> Now {
        store::now()
    }

    fn lag(&self) -> Option<Duration> {
        self.store.role().lag_ms().map(|lag| Duration::from_millis(lag.max(0).unsigned_abs()))
    }

    fn positions(&self) -> BTreeMap<DatabaseName, Position> {
        self.store.all().iter().map(|database| (database.name(), database.facts().durable)).collect()
    }

    fn changes(&self) -> broadcast::Receiver<(DatabaseName, Position)> {
        self.broadcaster.changes()
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.broadcaster.events()
    }

    fn databases(&self) -> BTreeMap<DatabaseName, DatabaseStatus> {
        let status = |database: &Arc<store::Database>| {
            let facts = database.facts();
            let (first, last, log_bytes) = database.log_range();
            let counts = database.counts();
            DatabaseStatus {
                position: facts.position,
                page_size: facts.page_size,
                pages: facts.page_count,
                log: (first != Txid::ZERO).then_some((first, last)),
                log_bytes,
                lag_ms: counts.lag_ms,
                counts: DatabaseCounts {
                    database_writes: counts.database_writes,
                    journal_writes: counts.journal_writes,
                    wal_writes: counts.wal_writes,
                    shm_writes: counts.shm_writes,
                    commits: counts.commits,
                    ltx_files: last.get().saturating_sub(first.get()) + u64::from(first != Txid::ZERO),
                    ltx_reaped: counts.segments_removed,
                },
            }
        };
        self.store.all().iter().map(|database| (database.name(), status(database))).collect()
    }

    fn transaction(&self, database: &DatabaseName, txid: Txid) -> io::Result<Option<LtxSource>> {
        let range = self.database(database)?.transaction(txid).map_err(os_error)?;
        Ok(range.map(|range| LtxSource { file: range.file, offset: range.offset, len: range.len }))
    }

    fn snapshot(&self, database: &DatabaseName) -> io::Result<Snapshot> {
        let reader = self.database(database)?.snapshot(self.compress, self.store.node_id())?;
        Ok(Snapshot { position: reader.position(), reader: Box::new(reader) })
    }

    fn export(&self, database: &DatabaseName) -> Result<Export, ExportError> {
        let database = self.store.get(database).ok_or(ExportError::NotFound)?;
        let reader = database.export()?;
        if reader.is_empty() {
            return Err(ExportError::Empty);
        }
        Ok(Export { len: reader.len(), reader: Box::new(reader) })
    }

    fn import(&self, database: &DatabaseName, source: &mut dyn io::Read) -> Result<Position, ImportError> {
        self.store.import(database, source).map_err(|error| match error {
            store::ImportError::NotPrimary => ImportError::NotPrimary,
            store::ImportError::Io(error) => ImportError::Io(error),
            other => ImportError::Invalid(other.to_string()),
        })
    }

    fn receive(&self, database: &DatabaseName, ltx: ReceivedLtx) -> Result<Position, ReceiveError> {
        if let Some(replaces) = ltx.replaces
            && replaces.local != Position::ZERO
        {
            tracing::warn!(
                name = %database, local = %replaces.local, received = %ltx.position(), diverged = replaces.diverged,
                "snapshot received for a database that is at another position; what only this node had is replaced"
            );
        }
        let database = self.store.get_or_create(database).map_err(os_error)?;
        if ltx.replaces.is_some_and(|replaces| replaces.diverged) {
            let kept = database.keep_aside(self.store.data_dir().path())?;
            tracing::warn!(name = %database.name(), path = %kept.display(), "the replaced database is kept aside");
        }
        let received = match &ltx.bytes {
            ReceivedBytes::Memory(bytes) => {
                database.receive(&ltx.received, &bytes.as_slice(), bytes.len() as u64)
            }
            ReceivedBytes::File { file, len } => database.receive(&ltx.received, &OnDisk(file), *len),
        };
        received.map_err(|error| {
            use litefs_core::database::ApplyError;
            match error {
                store::ReceiveError::Refused(ApplyError::NotNext { parent, local }) => {
                    ReceiveError::PositionMismatch { local, expected: parent }
                }
                store::ReceiveError::Refused(
                    error @ (ApplyError::Checksum { .. } | ApplyError::Growth { .. }),
                ) => ReceiveError::NeedsSnapshot(error.to_string()),
                other => ReceiveError::Io(io::Error::other(other)),
            }
        })
    }

    fn scratch_file(&self) -> io::Result<File> {
        store::scratch_file(self.store.data_dir().path())
    }

    fn join_cluster(&self, id: ClusterId) -> io::Result<ClusterId> {
        let mut current = self.cluster_id();
        if let Some(known) = *current {
            return Ok(known);
        }
        self.store.data_dir().set_cluster_id(id)?;
        *current = Some(id);
        Ok(id)
    }

    fn set_role(&self, role: Role, authority: Authority) -> bool {
        // What the mount shows follows what is true: writes are possible before they seem so, and the other way round.
        let ready = self.store.set_authority(authority).is_ok();
        let hostname = match &role {
            Role::Replica(primary) => Some(primary.hostname.clone()),
            Role::Primary | Role::Searching => None,
        };
        self.store.role().set(role.is_primary(), hostname);
        let databases: Vec<Arc<dyn DatabaseFiles>> =
            self.store.all().into_iter().map(|database| database as Arc<dyn DatabaseFiles>).collect();
        self.notifier.role_changed(&databases);
        self.standing.send_modify(|standing| {
            if standing.role != role {
                standing.since_ms = store::now().wall_ms;
            }
            standing.ready |= role.is_primary();
            standing.role = role.clone();
        });
        self.broadcaster.tell(Event::RoleChange(role));
        ready
    }

    fn authorize(&self, longer: Authority) {
        self.store.extend_authority(longer);
    }

    fn set_ready(&self) {
        self.standing.send_modify(|standing| standing.ready = true);
    }

    fn caught_up(&self, primary_ms: i64) {
        self.store.role().caught_up(primary_ms);
    }

    fn handoff(&self, _: NodeId) -> Result<(), HandoffError> {
        if !self.standing.borrow().role.is_primary() {
            return Err(HandoffError::NotPrimary);
        }
        Err(HandoffError::Unsupported { kind: "static" })
    }
}

/// An LTX file in a file without a name.
struct OnDisk<'a>(&'a File);

impl ReadAt for OnDisk<'_> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        FileExt::read_at(self.0, buf, offset)
            .map_err(|error| Errno(error.raw_os_error().unwrap_or(Errno::EIO.0)))
    }
}

/// Eight random bytes.
pub(crate) fn random_u64() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_be_bytes(bytes))
}

fn os_error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.0)
}
