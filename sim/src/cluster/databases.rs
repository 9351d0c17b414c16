use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use litefs_core::apply::{ApplyError, Change, Pages, PagesError};
use litefs_core::database::{self, Admission, Authority, Received, StopReason};
use litefs_core::ltx::{self, Item};
use litefs_core::node::{LtxToSend, Refusal, Replaces, Role};
use litefs_core::{
    Checksum, ClusterId, DatabaseName, Disk, Errno, File, NodeId, PageNumber, Position, ReadAt, Txid, View,
};

use super::daemon::node_id;
use super::plan::Plan;
use crate::coroutine;
use crate::database::Database;
use crate::database_disk::DatabaseDisk;
use crate::engine::Task;
use crate::machine_disk::Path;
use crate::node::{DiskChange, Node, Process};
use crate::topic::Topic;
use crate::trace::fingerprint;

/// How long a received transaction waits for programs that are in the way, before it is tried again.
const APPLY_WAIT: Duration = Duration::from_secs(1);
/// How long to wait before a full disk is tried again.
const SPACE_WAIT: Duration = Duration::from_millis(100);
/// How long publishing for a writer that died waits for one that lives.
const IN_DOUBT_WAIT: Duration = Duration::from_millis(250);
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
}

impl Databases {
    /// Those that are open on `node`.
    pub(crate) fn new(node: &Rc<Node>, plan: &Rc<Plan>) -> Self {
        let number = node.record.machine();
        Self { node: Rc::clone(node), daemon: node.daemon(), number, compress: plan.machine.compress }
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

    /// Remembers the cluster durably, a new one if there is none to join.
    pub(crate) async fn store_cluster(&self, id: Option<ClusterId>) -> Option<ClusterId> {
        if let Some(known) = self.cluster() {
            return Some(known);
        }
        let id = id.unwrap_or_else(|| ClusterId::new(self.node.draw(|rng| rng.next_u64())));
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
    pub(crate) async fn take_role(&self, role: &Role, authority: Authority) {
        let role = role.clone();
        self.run(move |this| {
            for database in this.node.databases() {
                if let Err(errno) = this.set_authority(&database, authority) {
                    let name = database.name();
                    this.node
                        .record
                        .event_of(Topic::Note, format_args!("{name} cannot take the role {role:?}: {errno}"));
                }
            }
        })
        .await;
    }

    fn set_authority(&self, database: &Rc<Database>, authority: Authority) -> Result<(), Errno> {
        let (node, daemon) = (&self.node, self.daemon);
        if authority != Authority::ReadOnly {
            database.with_applier(node, daemon, |applier| applier.detach())?.map_err(|_| Errno::EIO)?;
            database.with_engine(node, daemon, |engine| {
                engine.driver_mut().promote()?;
                if engine.driver().database().is_read_only() {
                    engine.driver_mut().repair(node.now())?;
                }
                Ok(())
            })??;
        }
        database.with_engine(node, daemon, |engine| engine.driver_mut().set_authority(authority))
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
        let (node, daemon) = (&self.node, self.daemon);
        let file = InMemory(bytes);
        let outcome = database.with_applier(node, daemon, |applier| {
            let admitted = database.with_engine(node, daemon, |engine| {
                let admission = engine.driver_mut().receive(received, &file, bytes.len() as u64);
                (admission, engine.driver().position(), engine.driver().database().journal_mode())
            });
            let journal_mode = match admitted.map_err(|_| Refusal::Storage)? {
                (Ok(Admission::Old), position, _) => return Ok(position),
                (Ok(Admission::Next | Admission::Snapshot), _, journal_mode) => journal_mode,
                (Err(error), _, _) => {
                    node.record.event_of(Topic::Note, format_args!("{} refuses: {error}", database.name()));
                    return Err(match error {
                        database::ApplyError::NotNext { .. } => Refusal::Position,
                        database::ApplyError::Checksum { .. } => Refusal::NeedsSnapshot,
                        _ => Refusal::Storage,
                    });
                }
            };
            let applied = loop {
                let mut pages =
                    InLtx { reader: ltx::Reader::new(&file, 0..bytes.len() as u64), page: Vec::new() };
                let change = Change {
                    page_size: received.header.page_size,
                    commit: received.header.commit,
                    pages: &mut pages,
                    journal_mode: received.journal_mode.unwrap_or(journal_mode),
                    snapshot: received.header.is_snapshot(),
                };
                match applier.apply(change, APPLY_WAIT) {
                    Ok(applied) => break applied,
                    Err(ApplyError::Busy(lock)) if node.is_alive(daemon) => {
                        node.record.event(format_args!("{} waits to apply: {lock}", database.name()));
                        node.record.probe("transaction waits for a program");
                    }
                    Err(error) if error.is_for_want_of_space() && node.is_alive(daemon) => {
                        node.record.probe("transaction waits for space");
                        coroutine::pause(SPACE_WAIT);
                    }
                    Err(error) => {
                        node.record
                            .event_of(Topic::Note, format_args!("{} cannot apply: {error}", database.name()));
                        let stop = database.with_engine(node, daemon, |engine| {
                            engine.driver_mut().database_mut().stop(StopReason::Unapplied(Errno::EIO));
                        });
                        stop.map_err(|_| Refusal::Storage)?;
                        return Err(Refusal::Storage);
                    }
                }
            };
            let done = database.with_engine(node, daemon, |engine| {
                let done = engine.driver_mut().applied(received, applied);
                done.map(|()| engine.driver().position())
            });
            done.map_err(|_| Refusal::Storage)?.map_err(|_| Refusal::Storage)
        });
        outcome.map_err(|_| Refusal::Storage)?
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
        let began = self.node.now().monotonic_ns;
        loop {
            let made = database.with_engine(&self.node, self.daemon, |engine| {
                let driver = engine.driver();
                // Pages of an open transaction in rollback mode are in the database file already.
                (!driver.database().is_dirty()).then(|| self.encode(driver))
            })?;
            match made {
                Some(made) => return made,
                None if self.node.now().monotonic_ns - began > nanos(IMAGE_WAIT) => return Err(Errno::EBUSY),
                None => drop(coroutine::pause(Duration::from_millis(2))),
            }
        }
    }

    fn encode(
        &self,
        driver: &litefs_core::drive::Driver<DatabaseDisk>,
    ) -> Result<(Position, Vec<u8>), Errno> {
        let (database, position) = (driver.database(), driver.position());
        let page_size = database.page_size().unwrap_or(litefs_core::PageSize::MIN);
        let header = ltx::Header {
            compressed: self.compress,
            page_size,
            commit: database.page_count(),
            min_txid: Txid::new(1),
            max_txid: position.txid,
            timestamp_ms: self.node.now().wall_ms,
            pre_apply: Checksum::ZERO,
            wal_offset: 0,
            wal_size: 0,
            wal_salt: [0, 0],
            node_id: self.node_id(),
        };
        let mut encoder = ltx::Encoder::new(header).map_err(|_| Errno::EIO)?;
        let mut content = vec![0; page_size.bytes()];
        let pages = (1..=database.page_count()).filter_map(PageNumber::new);
        for page in pages.filter(|page| *page != page_size.lock_page()) {
            database.source(page).read(driver.disk(), page_size, page, &mut content)?;
            encoder.page(page, &content).map_err(|_| Errno::EIO)?;
        }
        encoder.finish(database.sums().total()).map_err(|_| Errno::EIO)?;
        Ok((position, std::mem::take(encoder.output())))
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
        // A transaction that waits for a program can wait long: nobody waits for it here.
        let kept = database
            .with_idle_applier(node, daemon, |applier| applier.checkpoint().and_then(|_| applier.sync()));
        match kept {
            None => return Ok(()),
            Some(Err(error)) => node.record.event(format_args!("{} checkpoint: {error}", database.name())),
            Some(Ok(())) => {}
        }
        database.with_engine(node, daemon, |engine| {
            let driver = engine.driver_mut();
            let gone = matches!(driver.disk().len(File::Wal), Ok(None | Some(0)));
            if driver.database().wal_end().is_some() && driver.database().is_read_only() && gone {
                // The applier was the last to use it.
                driver.database_mut().wal_given_up();
            }
            driver.save()
        })?
    }

    fn publish_in_doubt(&self, database: &Rc<Database>) -> Result<(), Errno> {
        let (node, daemon) = (&self.node, self.daemon);
        let doubted = database.with_engine(node, daemon, |engine| {
            let doubted = engine.take_in_doubt();
            engine.driver().database().wal_end().filter(|_| doubted)
        })?;
        let Some((salt, end)) = doubted else { return Ok(()) };
        node.record.probe("transaction in doubt published");
        let published = database
            .with_applier(node, daemon, |applier| applier.publish_in_doubt(salt, end, IN_DOUBT_WAIT))?;
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

/// An LTX file in memory.
struct InMemory<'a>(&'a [u8]);

impl ReadAt for InMemory<'_> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let from = usize::try_from(offset).map_or(self.0.len(), |offset| offset.min(self.0.len()));
        let len = buf.len().min(self.0.len() - from);
        buf[..len].copy_from_slice(&self.0[from..from + len]);
        Ok(len)
    }
}

/// The pages of an LTX file.
struct InLtx<'a> {
    reader: ltx::Reader<&'a InMemory<'a>>,
    page: Vec<u8>,
}

impl Pages for InLtx<'_> {
    fn next_page(&mut self) -> Result<Option<(PageNumber, &[u8])>, PagesError> {
        while let Some(item) = self.reader.next()? {
            if let Item::Page { number, data } = item {
                self.page.clear();
                self.page.extend_from_slice(data);
                return Ok(Some((number, &self.page)));
            }
        }
        Ok(None)
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
