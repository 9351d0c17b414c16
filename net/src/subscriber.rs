use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use litefs_core::stream::{Action, Frame, Sender, encode_chunks, encode_chunks_end};
use litefs_core::{Checksum, DatabaseName, Now, Position, Txid};
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info};

use crate::body::{BodySender, SendError};
use crate::chunked::Chunked;
use crate::outgoing::{Outgoing, find};
use crate::route::Context;
use crate::timestamp::now_ms;

/// Sends the transactions of this node to one other, in the order that [`Sender`] says.
///
/// The peer hears something each second: a heartbeat when it has everything, and while a transaction or snapshot is being
/// looked up the high-water mark of its database once more, which changes nothing. Only within an LTX file nothing can be
/// put between, so a snapshot whose disk stalls is silent, and the peer may give up and connect anew.
pub(crate) struct Subscriber {
    context: Arc<Context>,
    body: BodySender,
    changes: broadcast::Receiver<(DatabaseName, Position)>,
    sender: Sender,
    /// Frames that were not handed to the body yet.
    out: Vec<u8>,
    /// Where the clock of `sender` begins.
    origin: Instant,
    /// The host dropped what it tells changes with, so it is about to stop.
    host_gone: bool,
}

/// Why a stream ended as it should.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// This node was told to stop.
    Stopped,
    /// This node is not primary any more.
    NotPrimary,
}

/// Why a stream was cut off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubscriberError {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("cannot read {database}: {error}")]
    Read { database: DatabaseName, error: io::Error },
    #[error("the snapshot of {database} takes longer than {limit:?}")]
    TooSlow { database: DatabaseName, limit: Duration },
    #[error("this node stopped being the primary within a transaction of {database}")]
    Interrupted { database: DatabaseName },
}

impl Subscriber {
    /// A peer that announced these positions and wants these databases, or all.
    pub(crate) fn new(
        context: Arc<Context>,
        body: BodySender,
        changes: broadcast::Receiver<(DatabaseName, Position)>,
        peer: BTreeMap<DatabaseName, Position>,
        filter: Option<BTreeSet<DatabaseName>>,
    ) -> Self {
        let sender = Sender::new(peer, context.host.positions(), filter);
        Self { context, body, changes, sender, out: Vec::new(), origin: Instant::now(), host_gone: false }
    }

    /// Sends until the peer is gone or this node is not primary any more. On an error the body is cut off.
    pub(crate) async fn serve(mut self) -> Result<End, SubscriberError> {
        loop {
            self.take_changes();
            if let Some(end) = self.ended() {
                self.write(&Frame::End);
                self.flush().await?;
                self.body.finish().await;
                return Ok(end);
            }
            match self.sender.next(self.now()) {
                Action::DropUnknown { database } => self.write(&Frame::DropDatabase { database }),
                Action::HighWater { database } => self.write_high_water(database),
                Action::Ready => self.write(&Frame::Ready),
                Action::Heartbeat { timestamp_ms } => self.write(&Frame::Heartbeat { timestamp_ms }),
                Action::Transaction { database, txid, pre_apply } => {
                    self.flush().await?;
                    self.transaction(database, txid, pre_apply).await?;
                }
                Action::Snapshot { database } => {
                    self.flush().await?;
                    self.snapshot(database).await?;
                }
                Action::Wait { until_ns } => {
                    self.flush().await?;
                    self.wait(self.origin + Duration::from_nanos(until_ns)).await?;
                }
            }
        }
    }

    async fn transaction(
        &mut self,
        database: DatabaseName,
        txid: Txid,
        pre_apply: Checksum,
    ) -> Result<(), SubscriberError> {
        let (host, name) = (Arc::clone(&self.context.host), database.clone());
        let job = spawn_blocking(move || find(host.as_ref(), &name, txid, pre_apply));
        match self.lookup(&database, job).await {
            Ok(Some(Outgoing::Whole { position, bytes })) => {
                self.write(&Frame::Ltx { database: database.clone() });
                encode_chunks(&bytes, &mut self.out);
                encode_chunks_end(&mut self.out);
                self.sent(database, position, false);
                Ok(())
            }
            Ok(Some(Outgoing::Large { position, source })) => {
                self.pump(&database, source.into_reader()).await?;
                self.sent(database, position, false);
                Ok(())
            }
            Ok(None) => {
                info!(%database, %txid, "transaction is not in the log, sending a snapshot");
                self.sender.missing(database);
                Ok(())
            }
            Err(SubscriberError::Read { database, error }) => {
                // The database itself may be well, and a snapshot takes the peer past the damage.
                error!(%database, %txid, %error, "transaction cannot be read, sending a snapshot");
                self.sender.missing(database);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn snapshot(&mut self, database: DatabaseName) -> Result<(), SubscriberError> {
        info!(%database, "writing snapshot");
        let (host, name) = (Arc::clone(&self.context.host), database.clone());
        let job = spawn_blocking(move || host.snapshot(&name));
        let snapshot = self.lookup(&database, job).await?;
        self.pump(&database, snapshot.reader).await?;
        self.sent(database, snapshot.position, true);
        Ok(())
    }

    /// Waits for a job that reads `database`, and lets the peer know meanwhile that this node is there.
    async fn lookup<T>(
        &mut self,
        database: &DatabaseName,
        mut job: JoinHandle<io::Result<T>>,
    ) -> Result<T, SubscriberError> {
        let outcome = loop {
            tokio::select! {
                outcome = &mut job => break outcome.map_err(io::Error::other).flatten(),
                () = sleep(Sender::HEARTBEAT_INTERVAL) => {
                    self.write_high_water(database.clone());
                    self.flush().await?;
                }
            }
        };
        outcome.map_err(|error| SubscriberError::Read { database: database.clone(), error })
    }

    /// Sends an LTX frame with all that `source` reads, at the speed at which the peer reads.
    async fn pump(
        &mut self,
        database: &DatabaseName,
        source: Box<dyn Read + Send>,
    ) -> Result<(), SubscriberError> {
        self.write(&Frame::Ltx { database: database.clone() });
        self.flush().await?;
        let (context, body, name) = (Arc::clone(&self.context), self.body.clone(), database.clone());
        let runtime = Handle::current();
        let job = spawn_blocking(move || {
            let limit = context.limits.snapshot_timeout;
            let began = Instant::now();
            let mut chunked = Chunked::new(source);
            loop {
                let read = chunked.next_piece();
                let piece = read.map_err(|error| SubscriberError::Read { database: name.clone(), error })?;
                let Some(piece) = piece else { return Ok(()) };
                if began.elapsed() > limit {
                    return Err(SubscriberError::TooSlow { database: name, limit });
                }
                if context.stop.is_stopped() || !context.host.standing().borrow().role.is_primary() {
                    return Err(SubscriberError::Interrupted { database: name });
                }
                body.blocking_send(&runtime, piece)?;
            }
        });
        job.await.map_err(|error| SubscriberError::Read {
            database: database.clone(),
            error: io::Error::other(error),
        })?
    }

    fn sent(&mut self, database: DatabaseName, position: Position, snapshot: bool) {
        self.context.metrics.frame_sent(&database, snapshot);
        self.sender.sent(database, position);
    }

    async fn wait(&mut self, until: Instant) -> Result<(), SubscriberError> {
        let mut standing = self.context.host.standing();
        tokio::select! {
            change = self.changes.recv() => match change {
                Ok((database, position)) => self.sender.changed(database, position),
                Err(RecvError::Lagged(_)) => self.read_all_positions(),
                Err(RecvError::Closed) => self.host_gone = true,
            },
            gone = async { standing.wait_for(|standing| !standing.role.is_primary()).await.is_err() } => {
                self.host_gone = gone;
            }
            () = self.context.stop.stopped() => (),
            () = self.body.closed() => return Err(SendError::Closed.into()),
            () = sleep_until(until) => (),
        }
        Ok(())
    }

    fn take_changes(&mut self) {
        loop {
            match self.changes.try_recv() {
                Ok((database, position)) => self.sender.changed(database, position),
                Err(TryRecvError::Lagged(_)) => self.read_all_positions(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn read_all_positions(&mut self) {
        for (database, position) in self.context.host.positions() {
            self.sender.changed(database, position);
        }
    }

    fn now(&self) -> Now {
        let monotonic_ns = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Now { monotonic_ns, wall_ms: now_ms() }
    }

    fn ended(&self) -> Option<End> {
        if self.host_gone || self.context.stop.is_stopped() {
            Some(End::Stopped)
        } else if !self.context.host.standing().borrow().role.is_primary() {
            Some(End::NotPrimary)
        } else {
            None
        }
    }

    fn write(&mut self, frame: &Frame) {
        frame.encode(&mut self.out);
    }

    fn write_high_water(&mut self, database: DatabaseName) {
        let txid = self.context.host.high_water(&database);
        self.write(&Frame::HighWater { txid, database });
    }

    async fn flush(&mut self) -> Result<(), SubscriberError> {
        if !self.out.is_empty() {
            self.body.send(Bytes::from(mem::take(&mut self.out))).await?;
        }
        Ok(())
    }
}
