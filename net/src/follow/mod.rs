//! Receiving the transactions of the primary.

mod appliers;
mod frame_reader;
mod spool;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use litefs_core::ltx::{DecodeError, Header};
use litefs_core::stream::{Admission, Frame, PositionMismatch, Receiver, encode_position_map};
use litefs_core::{ClusterId, DatabaseName, Position};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use self::appliers::{Appliers, Mark};
use self::frame_reader::FrameReader;
pub use self::frame_reader::StreamError;
use self::spool::{Spool, SpoolError};
use crate::body::MessageBody;
use crate::connection::Connection;
use crate::verifier::Verifier;
use crate::{ClientError, Host, InvalidUrl, PrimaryInfo, ReceivedLtx, Replaces, Stop, header, query};

/// How long the primary may take to answer. It sends the header of its reply before it has anything to send.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// Follows the primary: receives its transactions and has the host apply them.
///
/// What was received and is still being applied outlives a connection, so a database that is slow does not delay
/// reconnecting for the others.
#[derive(Debug)]
pub struct Follower {
    host: Arc<dyn Host>,
    /// The databases to replicate, or all if empty.
    databases: Vec<DatabaseName>,
    receiver: Receiver,
    appliers: Appliers,
}

/// Why a stream ended as it should.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FollowEnd {
    /// The primary ended it, or it is not primary any more.
    Disconnected,
    /// Something that was dropped can now be fetched: connect again at once.
    Refetch,
    /// This node was told to stop.
    Stopped,
}

/// Why a stream failed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The primary cannot be reached, or refuses.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What is at the other end belongs to another cluster.
    #[error(
        "cannot stream from primary with a different cluster id: the primary has {}, this node has {ours}",
        theirs.map_or_else(|| "none".to_owned(), |id| id.to_string())
    )]
    ClusterMismatch {
        /// The cluster of the primary.
        theirs: Option<ClusterId>,
        /// The cluster of this node.
        ours: ClusterId,
    },
    /// What is at the other end has something else than a cluster id.
    #[error("the primary sent an invalid cluster id: {0}")]
    ClusterId(String),
    /// The stream broke, or is not one.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A transaction does not follow the position of its database.
    #[error("position mismatch on db {:?}: {mismatch}", database.as_str())]
    PositionMismatch {
        /// The database.
        database: DatabaseName,
        /// Where it is, and where it would have to be.
        mismatch: PositionMismatch,
    },
    /// An LTX file is damaged.
    #[error("the primary sent a damaged transaction of {database}: {error}")]
    Damaged {
        /// The database.
        database: DatabaseName,
        /// Where and how.
        error: DecodeError,
    },
    /// This node cannot remember its cluster.
    #[error("cannot store the cluster id: {0}")]
    Store(#[from] io::Error),
}

impl Follower {
    /// A node that replicates these databases, or all if there are none.
    pub fn new(host: Arc<dyn Host>, databases: Vec<DatabaseName>) -> Self {
        let receiver = Receiver::new(host.identity().node_id);
        Self { appliers: Appliers::new(Arc::clone(&host)), host, databases, receiver }
    }

    /// Follows the primary until the stream ends or fails. Transactions may still be being applied then.
    pub async fn follow(&mut self, primary: &PrimaryInfo, stop: &Stop) -> Result<FollowEnd, FollowError> {
        let appliers = self.appliers.clone();
        let stream = async {
            let mut frames = self.connect(primary).await?;
            tokio::select! {
                () = appliers.refetch() => Ok(FollowEnd::Refetch),
                end = self.receive_all(&mut frames) => end,
            }
        };
        tokio::select! {
            () = stop.stopped() => Ok(FollowEnd::Stopped),
            end = stream => end,
        }
    }

    /// Waits until no transaction is being applied. Those that wait are dropped.
    pub async fn finish(&mut self) {
        self.appliers.finish().await;
    }

    async fn connect(&mut self, primary: &PrimaryInfo) -> Result<FrameReader, FollowError> {
        let url = primary.url.parse().map_err(|error: InvalidUrl| ClientError::Url(error))?;
        let mut connection = Connection::open(&url).await?;
        let body = MessageBody::whole(encode_position_map(&self.announce()));
        let node = Some(self.host.identity().node_id);
        let path = self.path();
        let request = connection.request(Method::POST, &path, node, body);
        let reply = match timeout(REPLY_TIMEOUT, request).await {
            Ok(reply) => reply?,
            Err(_) => return Err(connection.silent(REPLY_TIMEOUT).into()),
        };
        self.check_cluster(reply.headers()).await?;
        info!("connected to {:?}", primary.url);
        Ok(FrameReader::new(reply.into_body(), connection))
    }

    /// Where the databases are once everything that was received is applied.
    fn announce(&mut self) -> BTreeMap<DatabaseName, Position> {
        // In this order: what is applied between the two is announced where it is going to be.
        let (under_way, need_snapshot) = self.appliers.restart();
        let mut positions = self.host.positions();
        positions.extend(under_way);
        for database in &need_snapshot {
            self.receiver.request_snapshot(database);
        }
        self.receiver.connect(positions)
    }

    fn path(&self) -> String {
        let names: Vec<_> = self.databases.iter().map(|name| query::encode(name.as_str())).collect();
        match names.as_slice() {
            [] => "/stream".to_owned(),
            names => format!("/stream?filter={}", names.join("%2C")),
        }
    }

    /// A node that knows its cluster follows nobody else; one that does not joins that of the primary.
    async fn check_cluster(&self, headers: &HeaderMap) -> Result<(), FollowError> {
        let theirs = match headers.get(header::CLUSTER_ID).map(|value| value.to_str().unwrap_or_default()) {
            Some(text) => {
                let id = text.parse::<ClusterId>();
                Some(id.map_err(|error| FollowError::ClusterId(error.to_string()))?)
            }
            None => None,
        };
        match (theirs, self.host.identity().cluster_id) {
            (theirs, Some(ours)) if theirs != Some(ours) => {
                Err(FollowError::ClusterMismatch { theirs, ours })
            }
            (Some(theirs), None) => {
                let host = Arc::clone(&self.host);
                spawn_blocking(move || host.adopt_cluster_id(theirs)).await.map_err(io::Error::other)??;
                info!("adopted cluster id {:?}", theirs.as_str());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn receive_all(&mut self, frames: &mut FrameReader) -> Result<FollowEnd, FollowError> {
        loop {
            match frames.frame().await? {
                Some(Frame::Ltx { database }) => self.receive_ltx(database, frames).await?,
                Some(Frame::Ready) => self.appliers.mark(Mark::Ready),
                Some(Frame::Heartbeat { timestamp_ms }) => self.appliers.mark(Mark::CaughtUp(timestamp_ms)),
                // High-water marks matter to nodes with a backup of their own.
                Some(Frame::HighWater { .. }) => (),
                Some(Frame::DropDatabase { database }) => {
                    info!(%database, "deprecated drop db frame received, skipping");
                }
                Some(Frame::Handoff { .. } | Frame::End) | None => return Ok(FollowEnd::Disconnected),
            }
        }
    }

    /// Receives one LTX file, and hands it to the appliers if it is one to apply.
    async fn receive_ltx(
        &mut self,
        database: DatabaseName,
        frames: &mut FrameReader,
    ) -> Result<(), FollowError> {
        if self.appliers.is_detached(&database) {
            return Ok(frames.skip_body().await?);
        }
        let (header, first) = read_header(&database, frames).await?;
        let admission = self.receiver.begin(&database, &header);
        debug!(%database, txid = %header.max_txid, ?admission, "receiving");
        let (keep, replaces) = match admission {
            Admission::Apply => (true, None),
            Admission::Replace { local, diverged } => {
                info!(%database, %local, txid = %header.max_txid, diverged, "receiving a snapshot");
                (true, Some(Replaces { local, diverged }))
            }
            Admission::Skip => (false, None),
            Admission::Reconnect(mismatch) => {
                return Err(FollowError::PositionMismatch { database, mismatch });
            }
        };
        let damaged = |error| FollowError::Damaged { database: database.clone(), error };
        let mut spool = Spool::new(Arc::clone(&self.host), keep);
        let mut outcome = spool.push(&first).await;
        while outcome.is_ok() {
            let Some(chunk) = frames.chunk().await? else { break };
            outcome = spool.push(&chunk).await;
        }
        let (received, bytes) = match async { outcome.map(|()| spool)?.finish().await }.await {
            Ok(taken) => taken,
            Err(SpoolError::Invalid(error)) => return Err(damaged(error)),
            Err(SpoolError::Io(error)) => {
                warn!(%database, %error, "transaction was not received");
                self.appliers.lost(&database);
                // Also if all of the body was read: then there is nothing left to skip.
                return Ok(frames.skip_body().await?);
            }
        };
        if !keep {
            return Ok(());
        }
        let pages = received.sums.len() as u64;
        if let Err(reason) = self.receiver.end(&database, &header, pages, received.post_apply) {
            warn!(%database, %reason, "transaction was not applied");
            self.appliers.need_snapshot(&database);
            return Ok(());
        }
        let ltx = ReceivedLtx { received, bytes, replaces };
        let alone = self.receiver.databases() <= 1;
        self.appliers.submit(database, ltx, alone).await;
        Ok(())
    }
}

/// The header of an LTX file that arrives, and the bytes it was read from, with those that came along.
async fn read_header(
    database: &DatabaseName,
    frames: &mut FrameReader,
) -> Result<(Header, Vec<u8>), FollowError> {
    let damaged = |error| FollowError::Damaged { database: database.clone(), error };
    let mut bytes = Vec::new();
    while bytes.len() < Header::LEN {
        let Some(chunk) = frames.chunk().await? else { break };
        bytes.extend_from_slice(&chunk);
    }
    let mut verifier = Verifier::default();
    verifier.check(&bytes).map_err(damaged)?;
    match verifier.header() {
        Some(header) => Ok((header, bytes)),
        // The file is over before its header is, and the verifier says where.
        None => Err(verifier.finish().map_or_else(damaged, |_| StreamError::CutOff.into())),
    }
}
