use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use litefs_core::apply::{self, ApplyError, ReceiveError, RoleError, SharedDriver};
use litefs_core::database::{self, Authority, Received};
use litefs_core::drive::Driver;
use litefs_core::log::Retention;
use litefs_core::ltx;
use litefs_core::node::{LtxToSend, Refusal, Replaces, Role};
use litefs_core::snapshot::{Image, SnapshotReader};
use litefs_core::{
    Checksum, ClusterId, DatabaseName, Errno, File, NodeId, PageNumber, Position, ReadAt, Txid, View, WriteAt,
};

use super::daemon::node_id;
use super::plan::Plan;
use crate::coroutine;
use crate::database::Database;
use crate::database_disk::DatabaseDisk;
use crate::engine::Task;
use crate::machine_disk::Path;
use crate::node::{DiskChange, Node, Process};
use crate::system::{SimFile, SimSystem};
use crate::topic::Topic;
use crate::trace::fingerprint;

/// Bytes of a snapshot that are read at a time.
const SNAPSHOT_PIECE: usize = 8 << 10;
/// How long a snapshot waits for a transaction in rollback mode to end.
const IMAGE_WAIT: Duration = Duration::from_secs(2);
/// The file that remembers the cluster.
const CLUSTER_FILE: &str = "clusterid";

/// All databases of a machine, as its daemon of one life has them.
#[derive(Clone, Debug)]
pub(crate) struct Databases {
    node: Rc<Node>,
    daemon: Process,
    number: u8,
    compress: bool,
    retention: Option<Retention>,
}

impl Databases {
    /// Those that are open on `node`.
    pub(crate) fn new(node: &Rc<Node>, plan: &Rc<Plan>) -> Self {
        let number = node.record.machine();
        Self {
            node: Rc::clone(node),
            daemon: node.daemon(),
            number,
            compress: plan.machine.compress,
            retention: plan.retention,
        }
    }

    /// How the machine is named in the LTX files it creates.
    pub(crate) fn node_id(&self) -> NodeId {
        node_id(self.number)
    }

    /// Runs `work` on a stack of its own, where it can wait.
    async fn run<T: 'static>(&self, work: impl FnOnce(&Self) -> T + 'static) -> T {
        let this = self.clone();
        coroutine::run(&self.node, self.daemon, move || work(&this)).await
    }

    /// The cluster that the machine remembers.
    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        let mut text = [0; 20];
        let read = self.node.disk().read_at(&cluster_file(), 0, &mut text);
        std::str::from_utf8(&text[..read]).ok()?.parse().ok()
    }

    /// Remembers the cluster durably, unless it knows one.
    pub(crate) async fn store_cluster(&self, id: ClusterId) -> Option<ClusterId> {
        if let Some(known) = self.cluster() {
            return Some(known);
        }
        self.run(move |this| {
            let change = |change| this.node.change(this.daemon, &cluster_file(), change);
            change(DiskChange::Write { offset: 0, data: id.as_str().as_bytes() })
                .and_then(|()| change(DiskChange::Sync))
                .and_then(|()| change(DiskChange::SyncDirectory))
                .is_ok()
                .then_some(id)
        })
        .await
    }

    /// The durable positions of all databases; `None` if the daemon is dead.
    pub(crate) async fn positions(&self) -> Option<BTreeMap<DatabaseName, Position>> {
        self.run(|this| {
            let durable = |database: &Rc<Database>| {
                let position =
                    database.with_engine(&this.node, this.daemon, |engine| engine.driver().durable()).ok()?;
                Some((name_of(database)?, position))
            };
            this.node.databases().iter().map(durable).collect()
        })
        .await
    }

    /// Brings all databases into a state that suits the role.
    /// False if one cannot be written; then none of them commits anything.
    pub(crate) async fn take_role(&self, role: &Role, authority: Authority) -> bool {
        let role = role.clone();
        self.run(move |this| {
            let databases = this.node.databases();
            for database in &databases {
                if let Err(errno) = this.set_authority(database, authority) {
                    let name = database.name();
                    this.node
                        .record
                        .event_of(Topic::Note, format_args!("{name} cannot take the role {role:?}: {errno}"));
                    this.node.record.probe("role not taken");
                    for database in &databases {
                        // To commit nothing takes nothing.
                        let _: Result<(), RoleError> = this.set_authority(database, Authority::ReadOnly);
                    }
                    return false;
                }
            }
            true
        })
        .await
    }

    fn set_authority(&self, database: &Rc<Database>, authority: Authority) -> Result<(), RoleError> {
        let (node, daemon) = (&self.node, self.daemon);
        let served = self.served(database);
        database.with_applier(node, daemon, |applier| {
            apply::set_authority(&served, Some(applier), authority, node.now()).map(drop)
        })?
    }

    /// The databases of a primary may commit until a later moment.
    pub(crate) async fn authorize(&self, authority: Authority) {
        self.run(move |this| {
            for database in this.node.databases() {
                // A daemon that is dead authorizes nobody.
                let _: Result<(), Errno> = database.with_engine(&this.node, this.daemon, |engine| {
                    if !engine.driver().database().is_read_only() {
                        engine.driver_mut().set_authority(authority);
                    }
                });
            }
        })
        .await;
    }

    /// Takes a received LTX file into the log and applies it.
    pub(crate) async fn apply(
        &self,
        name: &DatabaseName,
        received: Received,
        bytes: Vec<u8>,
        replaces: Option<Replaces>,
    ) -> Result<Position, Refusal> {
        let Some(database) = self.node.database(name.as_str()) else { return Err(Refusal::Storage) };
        if replaces.is_some_and(|replaces| replaces.local != Position::ZERO) {
            self.node.record.probe("snapshot over other data");
        }
        if let Some(replaces) = replaces {
            self.node.replaces(name.as_str(), replaces.local, received.position());
        }
        if let Some(replaces) = replaces.filter(|replaces| replaces.diverged) {
            self.node
                .record
                .event_of(Topic::Note, format_args!("{name} is kept aside at {}", replaces.local));
            self.node.record.probe("database kept aside");
        }
        self.run(move |this| this.receive(&database, &received, &bytes)).await
    }

    fn receive(
        &self,
        database: &Rc<Database>,
        received: &Received,
        bytes: &[u8],
    ) -> Result<Position, Refusal> {
        let served = self.served(database);
        let outcome = database.with_applier(&self.node, self.daemon, |applier| {
            apply::receive(&served, Some(applier), received, &bytes, bytes.len() as u64)
        });
        outcome.map_err(|_| Refusal::Storage)?.map_err(|error| {
            self.node.record.event_of(Topic::Note, format_args!("{} refuses: {error}", database.name()));
            match error {
                ReceiveError::Refused(database::ApplyError::NotNext { .. }) => Refusal::Position,
                ReceiveError::Refused(database::ApplyError::Checksum { .. }) => Refusal::NeedsSnapshot,
                _ => Refusal::Storage,
            }
        })
    }

    fn served(&self, database: &Rc<Database>) -> Served {
        Served { node: Rc::clone(&self.node), daemon: self.daemon, database: Rc::clone(database) }
    }

    /// What is to be sent, and where it leads; `None` if the log does not have it.
    pub(crate) async fn ltx(&self, ltx: &LtxToSend) -> Result<Option<(Position, Vec<u8>)>, Errno> {
        let Some(database) = self.node.database(ltx.database().as_str()) else { return Ok(None) };
        let ltx = ltx.clone();
        self.run(move |this| match ltx {
            LtxToSend::Transaction { txid, pre_apply, .. } => this.transaction(&database, txid, pre_apply),
            LtxToSend::Snapshot { .. } => this.snapshot(&database).map(Some),
        })
        .await
    }

    fn transaction(
        &self,
        database: &Rc<Database>,
        txid: Txid,
        pre_apply: Checksum,
    ) -> Result<Option<(Position, Vec<u8>)>, Errno> {
        let bytes = database.with_engine(&self.node, self.daemon, |engine| {
            let driver = engine.driver();
            let Some(stored) = driver.log().find(txid).copied() else { return Ok(None) };
            if stored.min_txid != txid || stored.post.txid != txid {
                return Ok(None);
            }
            let mut bytes = vec![0; usize::try_from(stored.len).unwrap_or(0)];
            let read = driver.disk().read_at(File::Segment(stored.segment), stored.offset, &mut bytes)?;
            if read == bytes.len() { Ok(Some(bytes)) } else { Err(Errno::EIO) }
        })??;
        let Some(bytes) = bytes else { return Ok(None) };
        let file = ltx::decode_all(&bytes).map_err(|_| Errno::EIO)?;
        if file.header.pre_apply != pre_apply {
            return Ok(None);
        }
        Ok(Some((Position { txid, checksum: file.trailer.post_apply }, bytes)))
    }

    fn snapshot(&self, database: &Rc<Database>) -> Result<(Position, Vec<u8>), Errno> {
        self.node.record.probe("snapshot sent");
        let image = self.image(database)?;
        let timestamp_ms = self.node.now().wall_ms;
        let reader = SnapshotReader::new(image, self.compress, self.node_id(), timestamp_ms);
        let mut reader = reader.map_err(|_| Errno::EIO)?;
        let (mut bytes, mut piece) = (Vec::new(), vec![0; SNAPSHOT_PIECE]);
        loop {
            let read = reader.read(&mut piece).map_err(|error| {
                self.node.record.event(format_args!("{} snapshot: {error}", database.name()));
                Errno::EIO
            })?;
            if read == 0 {
                return Ok((reader.position(), bytes));
            }
            bytes.extend_from_slice(&piece[..read]);
        }
    }

    /// The database as it is at the next moment at which nobody is in the middle of something.
    fn image(&self, database: &Rc<Database>) -> Result<Image<SimFile, Memory>, Errno> {
        let (node, daemon) = (&self.node, self.daemon);
        let system = SimSystem::new(node, database);
        let began = node.now().monotonic_ns;
        loop {
            // While a transaction is being applied, its pages are neither those before nor those after it.
            let image = database.with_idle_applier(node, daemon, |_| {
                database.with_engine(node, daemon, |engine| {
                    let driver = engine.driver_mut();
                    // Pages of an open transaction in rollback mode are in the database file already.
                    if driver.database().is_dirty() {
                        return None;
                    }
                    let (file, wal) = (system.existing(File::Database), system.existing(File::Wal));
                    Some(Image::take(driver, file, wal, Memory::default()))
                })
            });
            match image {
                Some(Ok(Some(image))) => return image,
                Some(Err(errno)) => return Err(errno),
                _ if node.now().monotonic_ns - began > nanos(IMAGE_WAIT) => return Err(Errno::EBUSY),
                _ if !node.is_alive(daemon) => return Err(Errno::EIO),
                _ => drop(coroutine::pause(Duration::from_millis(2))),
            }
        }
    }

    /// Some of what the daemon does on its own.
    pub(crate) async fn work(&self) {
        self.run(|this| {
            for database in this.node.databases() {
                let task =
                    this.node.draw(|rng| rng.pick(&[Task::Append, Task::Sync, Task::Sync, Task::Save]));
                let result = this.work_on(&database, task);
                this.node.record.event(format_args!("{} {task:?} {result:?}", database.name()));
            }
        })
        .await;
    }

    fn work_on(&self, database: &Rc<Database>, task: Task) -> Result<(), Errno> {
        let (node, daemon) = (&self.node, self.daemon);
        self.publish_in_doubt(database)?;
        if task != Task::Save {
            return database.with_engine(node, daemon, |engine| engine.work(task))?;
        }
        let served = self.served(database);
        // A transaction that waits for a program can wait long: nobody waits for it here.
        let kept = database.with_idle_applier(node, daemon, |applier| {
            apply::keep_house(&served, Some(applier), self.retention, node.now().wall_ms)
        });
        if let Some(kept) = kept {
            node.record.event(format_args!("{} {kept:?}", database.name()));
        }
        Ok(())
    }

    fn publish_in_doubt(&self, database: &Rc<Database>) -> Result<(), Errno> {
        let (node, daemon) = (&self.node, self.daemon);
        let look = node.draw(|rng| rng.percent(20));
        let in_doubt =
            database.with_engine(node, daemon, |engine| engine.driver_mut().take_in_doubt(look))?;
        let Some(in_doubt) = in_doubt else { return Ok(()) };
        let served = self.served(database);
        let published = database
            .with_applier(node, daemon, |applier| apply::publish_in_doubt(&served, applier, in_doubt))?;
        if let Ok(true) = published {
            node.record.probe("transaction in doubt published");
        }
        node.record.event(format_args!("{} in doubt: {published:?}", database.name()));
        Ok(())
    }

    /// The name and a short name of the content of each database at its position, if it is quiet.
    pub(crate) async fn contents(&self) -> Vec<(String, Position, String)> {
        self.run(|this| {
            let look = |database: &Rc<Database>| {
                let made = this.snapshot_of(database).ok()?;
                Some((database.name().to_string(), made.0, fingerprint(&made.1).to_string()))
            };
            this.node.databases().iter().filter_map(look).collect()
        })
        .await
    }

    fn snapshot_of(&self, database: &Rc<Database>) -> Result<(Position, Vec<u8>), Errno> {
        database.with_engine(&self.node, self.daemon, |engine| {
            let driver = engine.driver();
            let page_size = driver.database().page_size().unwrap_or(litefs_core::PageSize::MIN);
            let mut content = vec![0; page_size.bytes() * driver.database().page_count() as usize];
            for (index, page) in (1..).zip(content.chunks_mut(page_size.bytes())) {
                let Some(number) = PageNumber::new(index) else { continue };
                driver.database().source(number).read(driver.disk(), page_size, number, page)?;
            }
            Ok((driver.position(), content))
        })?
    }
}

/// A file of the daemon alone.
#[derive(Debug, Default)]
struct Memory(Mutex<Vec<u8>>);

impl ReadAt for Memory {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_slice().read_at(offset, buf)
    }
}

impl WriteAt for Memory {
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(offset).map_err(|_| Errno::ENOSPC)?;
        let end = from + data.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[from..end].copy_from_slice(data);
        Ok(())
    }
}

/// A database, as what applies to it reaches its driver.
struct Served {
    node: Rc<Node>,
    daemon: Process,
    database: Rc<Database>,
}

impl SharedDriver for Served {
    type Disk = DatabaseDisk;

    fn with_driver<T>(&self, work: impl FnOnce(&mut Driver<DatabaseDisk>) -> T) -> Result<T, Errno> {
        self.database.with_engine(&self.node, self.daemon, |engine| work(engine.driver_mut()))
    }

    fn is_leaving(&self) -> bool {
        !self.node.is_alive(self.daemon)
    }

    fn waits(&self, reason: &ApplyError, waited: Duration) {
        let name = self.database.name();
        self.node.record.event(format_args!("{name} waits to apply since {waited:?}: {reason}"));
        self.node.record.probe(if reason.is_for_want_of_space() {
            "transaction waits for space"
        } else {
            "transaction waits for a program"
        });
    }

    fn received(&self, _driver: &Driver<DatabaseDisk>, _received: &Received) {}

    fn sync_log(&self) {
        // What it came to is seen from the state of the database.
        let _: Result<Result<(), Errno>, Errno> = self.with_driver(Driver::sync_log);
    }

    fn sync_database(&self) -> Result<(), Errno> {
        self.node.change(self.daemon, &self.database.path(File::Database), DiskChange::Sync)
    }
}

fn name_of(database: &Database) -> Option<DatabaseName> {
    DatabaseName::new(database.name()).ok()
}

fn cluster_file() -> Path {
    Path::Plain(CLUSTER_FILE.into())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
