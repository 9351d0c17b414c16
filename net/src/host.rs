use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::time::Duration;

use litefs_core::database::Authority;
use litefs_core::{ClusterId, DatabaseName, NodeId, Now, Position, Txid};
use tokio::sync::{broadcast, watch};

use crate::{
    DatabaseStatus, Event, ExportError, HandoffError, ImportError, LtxSource, ReceiveError, ReceivedLtx, Role,
};

/// What the network side needs from the node it serves.
///
/// Methods that may block, because they do I/O or wait for a lock of a database, say so; they are called on threads that
/// may block, different databases at the same time. All others are called from async tasks and answer from memory.
pub trait Host: Send + Sync + 'static {
    /// Who this node is.
    fn identity(&self) -> Identity;

    /// What this node is, and each change of it.
    fn standing(&self) -> watch::Receiver<Standing>;

    /// What time it is, by the clock that [`Authority::Until`] is measured with.
    fn now(&self) -> Now;

    /// How far the databases of this node are behind the primary: zero on a primary, `None` on a replica that never had
    /// everything.
    fn lag(&self) -> Option<Duration>;

    /// The durable positions of all databases, dropped ones included.
    fn positions(&self) -> BTreeMap<DatabaseName, Position>;

    /// Each move of a durable position from now on. A receiver that lags asks for [`Host::positions`].
    fn changes(&self) -> broadcast::Receiver<(DatabaseName, Position)>;

    /// What `/events` tells, from now on. A receiver that lags is disconnected.
    fn events(&self) -> broadcast::Receiver<Event>;

    /// Facts for `litefs status`, by name.
    fn databases(&self) -> BTreeMap<DatabaseName, DatabaseStatus>;

    /// The LTX file of exactly this transaction, or `None` if the log does not have it. Blocks.
    fn transaction(&self, database: &DatabaseName, txid: Txid) -> io::Result<Option<LtxSource>>;

    /// The whole database as an LTX file. Blocks, as its reader does.
    fn snapshot(&self, database: &DatabaseName) -> io::Result<Snapshot>;

    /// The whole database as SQLite has it on disk. Blocks, as its reader does.
    fn export(&self, database: &DatabaseName) -> Result<Export, ExportError>;

    /// Replaces the database, or creates it, by one transaction with the content of `source`, a database file as SQLite
    /// has it on disk. Nothing changes unless `source` ends without an error. Blocks.
    fn import(&self, database: &DatabaseName, source: &mut dyn io::Read) -> Result<Position, ImportError>;

    /// Makes a received transaction durable and visible; the database is created if need be. Called for one LTX file of a
    /// database at a time, in the order in which they arrived. Blocks; while it does, other databases go on.
    fn receive(&self, database: &DatabaseName, ltx: ReceivedLtx) -> Result<Position, ReceiveError>;

    /// A new file without a name, on the disk of the databases, for an LTX file that is being received. Blocks.
    fn scratch_file(&self) -> io::Result<File>;

    /// The cluster this node belongs to, remembered durably: the one it knows, otherwise `id`. Blocks.
    fn join_cluster(&self, id: ClusterId) -> io::Result<ClusterId>;

    /// The role of this node is this from now on, and its databases may commit as `authority` says. Blocks until they are
    /// in a state that suits it.
    fn set_role(&self, role: Role, authority: Authority);

    /// The databases may commit until a later moment, those that may at all. Blocks while they are busy.
    fn authorize(&self, longer: Authority);

    /// This node has had everything its primary has, or is primary. It stays ready from now on.
    fn set_ready(&self);

    /// This node had everything the primary had at `primary_ms`, a time of the primary's clock in milliseconds since
    /// the Unix epoch.
    fn caught_up(&self, primary_ms: i64);

    /// Hands the role of the primary to this node, which follows this one. Blocks.
    fn handoff(&self, target: NodeId) -> Result<(), HandoffError>;
}

impl fmt::Debug for dyn Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("identity", &self.identity()).finish_non_exhaustive()
    }
}

/// Who a node is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Drawn at each start.
    pub node_id: NodeId,
    /// The cluster it belongs to, once it knows.
    pub cluster_id: Option<ClusterId>,
    /// Its host name.
    pub hostname: String,
    /// Its data directory, for people to read.
    pub data_dir: String,
    /// Whether it may become primary.
    pub candidate: bool,
}

/// What a node is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Its role.
    pub role: Role,
    /// Since when it has this role, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// Whether it has been primary, or a replica that has everything, since it started.
    pub ready: bool,
}

/// A database as an LTX file.
pub struct Snapshot {
    /// The position of the image. The LTX file begins at transaction 1 and ends here.
    pub position: Position,
    /// The LTX file.
    pub reader: Box<dyn io::Read + Send>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("position", &self.position).finish_non_exhaustive()
    }
}

/// A database as SQLite has it on disk.
pub struct Export {
    /// Its size in bytes.
    pub len: u64,
    /// Exactly `len` bytes.
    pub reader: Box<dyn io::Read + Send>,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export").field("len", &self.len).finish_non_exhaustive()
    }
}
