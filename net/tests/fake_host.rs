//! A node whose databases are in memory. Its transactions are real LTX files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use litefs_core::database::Authority;
use litefs_core::ltx::{Encoder, Header, decode_all};
use litefs_core::{Checksum, ClusterId, DatabaseName, NodeId, Now, PageNumber, PageSize, Position, Txid};
use litefs_net::{
    DatabaseCounts, DatabaseStatus, Event, Export, ExportError, HandoffError, Host, Identity, ImportError,
    LtxSource, ReceiveError, ReceivedBytes, ReceivedLtx, Replaces, Role, Snapshot, Standing,
};
use tokio::sync::{broadcast, watch};

use crate::fake_lease::FakeLease;
use crate::node::PATIENCE;

pub(crate) const PAGE: usize = 512;

pub(crate) fn name(text: &str) -> DatabaseName {
    DatabaseName::new(text).unwrap()
}

pub(crate) struct FakeHost {
    node_id: NodeId,
    pub(crate) candidate: bool,
    pub(crate) lease: FakeLease,
    began: Instant,
    state: Mutex<State>,
    /// Databases to which nothing can be applied for now.
    gates: Mutex<BTreeSet<DatabaseName>>,
    /// Transactions cannot be read from the log for now.
    log_closed: Mutex<bool>,
    gate_opened: Condvar,
    standing: watch::Sender<Standing>,
    changes: broadcast::Sender<(DatabaseName, Position)>,
    events: broadcast::Sender<Event>,
    log: Arc<File>,
}

#[derive(Default)]
struct State {
    databases: BTreeMap<DatabaseName, Database>,
    log_len: u64,
    cluster_id: Option<ClusterId>,
    authority: Option<Authority>,
    caught_up: Option<i64>,
    replaced: Vec<Replaces>,
    cut_export_at: Option<usize>,
}

#[derive(Clone, Default)]
struct Database {
    position: Position,
    pages: BTreeMap<u32, Vec<u8>>,
    commit: u32,
    /// Where the transactions are in the log file.
    log: BTreeMap<Txid, (u64, u64)>,
}

impl FakeHost {
    pub(crate) fn new(node_id: u64, candidate: bool) -> Arc<Self> {
        let standing = Standing { role: Role::Searching, since_ms: 0, ready: false };
        Arc::new(Self {
            node_id: NodeId::new(node_id),
            candidate,
            lease: FakeLease::new(candidate),
            began: Instant::now(),
            state: Mutex::default(),
            gates: Mutex::default(),
            log_closed: Mutex::default(),
            gate_opened: Condvar::new(),
            standing: watch::channel(standing).0,
            changes: broadcast::channel(64).0,
            events: broadcast::channel(64).0,
            log: Arc::new(tempfile::tempfile().unwrap()),
        })
    }

    pub(crate) fn primary() -> Arc<Self> {
        let host = Self::new(0xA, true);
        host.state.lock().unwrap().cluster_id = Some(ClusterId::new(1));
        host
    }

    pub(crate) fn replica() -> Arc<Self> {
        Self::new(0xB, false)
    }

    /// Commits one transaction that writes these pages, and returns its position.
    pub(crate) fn commit(&self, database: &str, pages: &[(u32, u8)]) -> Position {
        let pages: Vec<_> = pages.iter().map(|(number, byte)| (*number, vec![*byte; PAGE])).collect();
        self.commit_pages(&name(database), &pages)
    }

    pub(crate) fn commit_pages(&self, database: &DatabaseName, pages: &[(u32, Vec<u8>)]) -> Position {
        let mut state = self.state.lock().unwrap();
        let before = state.databases.entry(database.clone()).or_default().clone();
        let mut after = before.clone();
        after.pages.extend(pages.iter().cloned());
        after.commit = after.pages.keys().max().copied().unwrap_or(0);
        self.append(&mut state, database, &before, after, pages)
    }

    /// Drops the database.
    pub(crate) fn drop_database(&self, database: &str) -> Position {
        let mut state = self.state.lock().unwrap();
        let before = state.databases[&name(database)].clone();
        let after = Database { pages: BTreeMap::new(), commit: 0, ..before.clone() };
        self.append(&mut state, &name(database), &before, after, &[])
    }

    fn append(
        &self,
        state: &mut State,
        database: &DatabaseName,
        before: &Database,
        mut after: Database,
        pages: &[(u32, Vec<u8>)],
    ) -> Position {
        let position = Position { txid: before.position.txid.next(), checksum: checksum(&after.pages) };
        let mut header = self.header(&after, position.txid, position.txid);
        header.pre_apply = before.position.checksum;
        let ltx = encode(header, pages.iter().map(|(number, page)| (*number, page.as_slice())), position);
        after.position = position;
        let offset = state.log_len;
        self.log.write_all_at(&ltx, offset).unwrap();
        state.log_len += ltx.len() as u64;
        after.log.insert(position.txid, (offset, ltx.len() as u64));
        let commit = after.commit;
        state.databases.insert(database.clone(), after);
        self.announce(database, position, commit);
        position
    }

    /// Puts an LTX file into the log that takes the database to `position`.
    pub(crate) fn log_ltx(&self, database: &str, ltx: &[u8], position: Position) {
        let mut state = self.state.lock().unwrap();
        let offset = state.log_len;
        self.log.write_all_at(ltx, offset).unwrap();
        state.log_len += ltx.len() as u64;
        let database = state.databases.entry(name(database)).or_default();
        database.log.insert(position.txid, (offset, ltx.len() as u64));
        database.position = position;
    }

    fn header(&self, database: &Database, min_txid: Txid, max_txid: Txid) -> Header {
        Header {
            compressed: true,
            page_size: PageSize::new(PAGE as u32).unwrap(),
            commit: database.commit,
            min_txid,
            max_txid,
            timestamp_ms: 1000,
            pre_apply: Checksum::ZERO,
            wal_offset: 0,
            wal_size: 0,
            wal_salt: [0, 0],
            node_id: self.node_id,
        }
    }

    fn announce(&self, database: &DatabaseName, position: Position, commit: u32) {
        // Nobody may be listening.
        let _ = self.changes.send((database.clone(), position));
        let page_size = PageSize::new(PAGE as u32).unwrap();
        let database = database.clone();
        let _ = self.events.send(Event::Transaction {
            database,
            position,
            page_size,
            commit,
            timestamp_ms: 1000,
        });
    }

    pub(crate) fn position(&self, database: &str) -> Position {
        self.state
            .lock()
            .unwrap()
            .databases
            .get(&name(database))
            .map_or(Position::ZERO, |database| database.position)
    }

    pub(crate) fn page(&self, database: &str, number: u32) -> Option<Vec<u8>> {
        self.state.lock().unwrap().databases.get(&name(database))?.pages.get(&number).cloned()
    }

    pub(crate) fn caught_up_at(&self) -> Option<i64> {
        self.state.lock().unwrap().caught_up
    }

    pub(crate) fn replaced(&self) -> Vec<Replaces> {
        self.state.lock().unwrap().replaced.clone()
    }

    pub(crate) fn set_cluster(&self, id: Option<ClusterId>) {
        self.state.lock().unwrap().cluster_id = id;
    }

    /// Retention removes this transaction.
    pub(crate) fn forget(&self, database: &str, txid: u64) {
        self.state
            .lock()
            .unwrap()
            .databases
            .get_mut(&name(database))
            .unwrap()
            .log
            .remove(&Txid::new(txid))
            .unwrap();
    }

    /// A bit of this transaction flips on the disk.
    pub(crate) fn damage(&self, database: &str, txid: u64) {
        let (offset, len) = self.state.lock().unwrap().databases[&name(database)].log[&Txid::new(txid)];
        let mut byte = [0];
        self.log.read_exact_at(&mut byte, offset + len - 20).unwrap();
        self.log.write_all_at(&[byte[0] ^ 1], offset + len - 20).unwrap();
    }

    /// Exports fail after so many bytes.
    pub(crate) fn cut_exports_at(&self, len: usize) {
        self.state.lock().unwrap().cut_export_at = Some(len);
    }

    /// From now on nothing can be applied to the database.
    pub(crate) fn close_gate(&self, database: &str) {
        self.gates.lock().unwrap().insert(name(database));
    }

    pub(crate) fn open_gate(&self, database: &str) {
        self.gates.lock().unwrap().remove(&name(database));
        self.gate_opened.notify_all();
    }

    /// Whether transactions cannot be read from the log.
    pub(crate) fn close_log(&self, closed: bool) {
        *self.log_closed.lock().unwrap() = closed;
        self.gate_opened.notify_all();
    }

    pub(crate) fn lose_lease(&self) {
        self.lease.grant(false);
    }

    pub(crate) fn grant_lease(&self) {
        self.lease.grant(true);
    }

    pub(crate) fn authority(&self) -> Authority {
        self.state.lock().unwrap().authority.unwrap_or(Authority::ReadOnly)
    }

    /// The node starts.
    pub(crate) fn set_unready(&self) {
        self.standing.send_modify(|standing| standing.ready = false);
    }

    pub(crate) fn emit(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// One LTX file.
pub(crate) fn encode<'a>(
    header: Header,
    pages: impl Iterator<Item = (u32, &'a [u8])>,
    position: Position,
) -> Vec<u8> {
    let mut encoder = Encoder::new(header).unwrap();
    for (number, page) in pages {
        encoder.page(PageNumber::new(number).unwrap(), page).unwrap();
    }
    encoder.finish(position.checksum).unwrap();
    std::mem::take(encoder.output())
}

fn checksum(pages: &BTreeMap<u32, Vec<u8>>) -> Checksum {
    pages.iter().fold(Checksum::EMPTY, |sum, (number, page)| {
        sum.toggle(Checksum::of_page(PageNumber::new(*number).unwrap(), page))
    })
}

impl Host for FakeHost {
    fn identity(&self) -> Identity {
        Identity {
            node_id: self.node_id,
            cluster_id: self.state.lock().unwrap().cluster_id,
            hostname: format!("node{:x}", self.node_id.get()),
            data_dir: "/data".into(),
            candidate: self.candidate,
        }
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    fn now(&self) -> Now {
        let monotonic_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap();
        let wall = std::time::UNIX_EPOCH.elapsed().unwrap();
        Now { monotonic_ns, wall_ms: i64::try_from(wall.as_millis()).unwrap() }
    }

    fn lag(&self) -> Option<Duration> {
        self.standing.borrow().ready.then_some(Duration::ZERO)
    }

    fn positions(&self) -> BTreeMap<DatabaseName, Position> {
        let state = self.state.lock().unwrap();
        state.databases.iter().map(|(name, database)| (name.clone(), database.position)).collect()
    }

    fn changes(&self) -> broadcast::Receiver<(DatabaseName, Position)> {
        self.changes.subscribe()
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    fn databases(&self) -> BTreeMap<DatabaseName, DatabaseStatus> {
        let state = self.state.lock().unwrap();
        let status = |database: &Database| DatabaseStatus {
            position: database.position,
            page_size: PAGE as u32,
            pages: database.commit,
            log: database.log.keys().next().copied().zip(database.log.keys().next_back().copied()),
            log_bytes: database.log.values().map(|(_, len)| len).sum(),
            lag_ms: 0,
            counts: DatabaseCounts { commits: database.log.len() as u64, ..DatabaseCounts::default() },
        };
        state.databases.iter().map(|(name, database)| (name.clone(), status(database))).collect()
    }

    fn transaction(&self, database: &DatabaseName, txid: Txid) -> io::Result<Option<LtxSource>> {
        let closed = self.log_closed.lock().unwrap();
        drop(self.gate_opened.wait_timeout_while(closed, 2 * PATIENCE, |closed| *closed).unwrap());
        let state = self.state.lock().unwrap();
        let found = state.databases.get(database).and_then(|database| database.log.get(&txid));
        Ok(found.map(|&(offset, len)| LtxSource { file: Arc::clone(&self.log), offset, len }))
    }

    fn snapshot(&self, database: &DatabaseName) -> io::Result<Snapshot> {
        let state = self.state.lock().unwrap();
        let database = &state.databases[database];
        let header = self.header(database, Txid::new(1), database.position.txid);
        let pages = database.pages.iter().map(|(number, page)| (*number, page.as_slice()));
        let ltx = encode(header, pages, database.position);
        Ok(Snapshot { position: database.position, reader: Box::new(io::Cursor::new(ltx)) })
    }

    fn export(&self, database: &DatabaseName) -> Result<Export, ExportError> {
        let state = self.state.lock().unwrap();
        let found = state.databases.get(database).ok_or(ExportError::NotFound)?;
        if found.commit == 0 {
            return Err(ExportError::Empty);
        }
        let bytes: Vec<u8> = found.pages.values().flatten().copied().collect();
        let len = bytes.len() as u64;
        let end = state.cut_export_at.unwrap_or(bytes.len());
        Ok(Export { len, reader: Box::new(io::Cursor::new(bytes[..end].to_vec())) })
    }

    fn import(&self, database: &DatabaseName, source: &mut dyn Read) -> Result<Position, ImportError> {
        if !self.standing.borrow().role.is_primary() {
            return Err(ImportError::NotPrimary);
        }
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes)?;
        if !bytes.starts_with(b"SQLite format 3\0") {
            return Err(ImportError::Invalid("read database header: invalid database header".into()));
        }
        let pages: Vec<_> = (1..).zip(bytes.chunks(PAGE).map(<[u8]>::to_vec)).collect();
        Ok(self.commit_pages(database, &pages))
    }

    fn receive(&self, database: &DatabaseName, ltx: ReceivedLtx) -> Result<Position, ReceiveError> {
        let gates = self.gates.lock().unwrap();
        // Longer than any test waits, so that one that fails ends.
        let patience = 2 * PATIENCE;
        drop(
            self.gate_opened.wait_timeout_while(gates, patience, |closed| closed.contains(database)).unwrap(),
        );
        let position = ltx.position();
        let bytes = match ltx.bytes {
            ReceivedBytes::Memory(bytes) => bytes,
            ReceivedBytes::File { file, len } => {
                let mut bytes = vec![0; usize::try_from(len).unwrap()];
                file.read_exact_at(&mut bytes, 0)?;
                bytes
            }
        };
        let decoded = decode_all(&bytes).unwrap();
        assert_eq!(decoded.header, ltx.received.header);
        let mut state = self.state.lock().unwrap();
        let mut found = state.databases.get(database).cloned().unwrap_or_default();
        if ltx.received.header.is_snapshot() {
            found.pages.clear();
            found.log.clear();
            state.replaced.extend(ltx.replaces);
        } else if found.position != ltx.received.header.pre_apply_position() {
            let expected = ltx.received.header.pre_apply_position();
            return Err(ReceiveError::PositionMismatch { local: found.position, expected });
        }
        found.pages.extend(decoded.pages.into_iter().map(|(number, page)| (number.get(), page)));
        found.pages.retain(|number, _| *number <= ltx.received.header.commit);
        if checksum(&found.pages) != position.checksum {
            return Err(ReceiveError::NeedsSnapshot(format!("it does not lead to {position}")));
        }
        found.position = position;
        found.commit = ltx.received.header.commit;
        let offset = state.log_len;
        self.log.write_all_at(&bytes, offset)?;
        state.log_len += bytes.len() as u64;
        found.log.insert(position.txid, (offset, bytes.len() as u64));
        state.databases.insert(database.clone(), found);
        self.announce(database, position, ltx.received.header.commit);
        Ok(position)
    }

    fn scratch_file(&self) -> io::Result<File> {
        tempfile::tempfile()
    }

    fn join_cluster(&self, id: ClusterId) -> io::Result<ClusterId> {
        Ok(*self.state.lock().unwrap().cluster_id.get_or_insert(id))
    }

    fn authorize(&self, longer: Authority) {
        let authority = self.authority().extended_to(longer);
        self.state.lock().unwrap().authority = Some(authority);
    }

    fn set_role(&self, role: Role, authority: Authority) {
        self.state.lock().unwrap().authority = Some(authority);
        self.standing.send_modify(|standing| standing.role = role.clone());
        self.emit(Event::RoleChange(role));
    }

    fn set_ready(&self) {
        self.standing.send_modify(|standing| standing.ready = true);
    }

    fn caught_up(&self, primary_ms: i64) {
        self.state.lock().unwrap().caught_up = Some(primary_ms);
    }

    fn handoff(&self, _target: NodeId) -> Result<(), HandoffError> {
        Err(HandoffError::Unsupported { kind: "static" })
    }
}
