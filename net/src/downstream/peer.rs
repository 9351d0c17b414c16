use std::io::Read;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use litefs_core::node::{LtxToSend, SentLtx};
use litefs_core::stream::{Frame, Sender, encode_chunks, encode_chunks_end};
use litefs_core::{DatabaseName, Position};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::{error, info};

use super::chunked::Chunked;
use super::feed_error::FeedError;
use super::outgoing::{Outgoing, find};
use crate::body::BodySender;
use crate::route::Context;

/// The other end of a stream to a replica.
pub(super) struct Peer {
    pub(super) context: Arc<Context>,
    pub(super) body: BodySender,
    /// The stream is to end, also within an LTX file.
    interrupted: AtomicBool,
    /// Since when an LTX file is being looked up, and what to send meanwhile.
    lookup: Mutex<Option<(Instant, Frame)>>,
}

impl Peer {
    pub(super) fn new(context: Arc<Context>, body: BodySender) -> Self {
        Self { context, body, interrupted: AtomicBool::new(false), lookup: Mutex::default() }
    }

    /// Cuts off the LTX file that is being sent, if it takes long.
    pub(super) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    /// Lets the replica know that this node is there if an LTX file has been looked up for long. If there is no room for
    /// that, the replica has something to read.
    pub(super) fn keep_alive(&self) {
        if let Some((since, frame)) = &*self.lookup()
            && since.elapsed() >= Sender::HEARTBEAT_INTERVAL
        {
            let mut out = Vec::new();
            frame.encode(&mut out);
            let _ = self.body.try_send(Bytes::from(out));
        }
    }

    /// Sends `out` and the LTX file after it. Blocks.
    pub(super) fn send(&self, mut out: Vec<u8>, ltx: &LtxToSend) -> Result<SentLtx, FeedError> {
        let database = ltx.database();
        let position = match ltx {
            LtxToSend::Transaction { txid, pre_apply, .. } => {
                let host = self.context.host.as_ref();
                match self.look_up(ltx, || find(host, database, *txid, *pre_apply)) {
                    Ok(Some(Outgoing::Whole { position, bytes })) => {
                        Frame::Ltx { database: database.clone() }.encode(&mut out);
                        encode_chunks(&bytes, &mut out);
                        encode_chunks_end(&mut out);
                        position
                    }
                    Ok(Some(Outgoing::Large { position, source })) => {
                        self.pump(mem::take(&mut out), database, source.into_reader())?;
                        position
                    }
                    Ok(None) => {
                        info!(%database, %txid, "transaction is not in the log, sending a snapshot");
                        return self.flush(out).map(|()| SentLtx::Missing);
                    }
                    Err(error) => {
                        // The database itself may be well, and a snapshot takes the peer past the damage.
                        error!(%database, %txid, %error, "transaction cannot be read, sending a snapshot");
                        return self.flush(out).map(|()| SentLtx::Missing);
                    }
                }
            }
            LtxToSend::Snapshot { .. } => self.snapshot(mem::take(&mut out), ltx)?,
        };
        if let Some(frame) = ltx.followed_by() {
            frame.encode(&mut out);
        }
        self.flush(out)?;
        self.context.metrics.frame_sent(database, matches!(ltx, LtxToSend::Snapshot { .. }));
        Ok(SentLtx::Sent(position))
    }

    fn snapshot(&self, out: Vec<u8>, ltx: &LtxToSend) -> Result<Position, FeedError> {
        let database = ltx.database();
        info!(%database, "writing snapshot");
        let snapshot = self
            .look_up(ltx, || self.context.host.snapshot(database))
            .map_err(|error| FeedError::Read { database: database.clone(), error })?;
        self.pump(out, database, snapshot.reader)?;
        Ok(snapshot.position)
    }

    /// Runs `job`, during which the replica is sent what keeps it waiting.
    fn look_up<T>(&self, ltx: &LtxToSend, job: impl FnOnce() -> T) -> T {
        *self.lookup() = Some((Instant::now(), ltx.keep_alive()));
        let outcome = job();
        *self.lookup() = None;
        outcome
    }

    /// Sends `out` and an LTX frame with all that `source` reads, at the speed at which the peer reads.
    fn pump(
        &self,
        mut out: Vec<u8>,
        database: &DatabaseName,
        source: Box<dyn Read + Send>,
    ) -> Result<(), FeedError> {
        Frame::Ltx { database: database.clone() }.encode(&mut out);
        self.flush(out)?;
        let (limit, began) = (self.context.limits.snapshot_timeout, Instant::now());
        let mut chunked = Chunked::new(source);
        loop {
            let piece = chunked.next_piece();
            let piece = piece.map_err(|error| FeedError::Read { database: database.clone(), error })?;
            let Some(piece) = piece else { return Ok(()) };
            if began.elapsed() > limit {
                return Err(FeedError::TooSlow { database: database.clone(), limit });
            }
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(FeedError::Interrupted { database: database.clone() });
            }
            self.body.blocking_send(&Handle::current(), piece)?;
        }
    }

    fn flush(&self, out: Vec<u8>) -> Result<(), FeedError> {
        if out.is_empty() {
            return Ok(());
        }
        Ok(self.body.blocking_send(&Handle::current(), Bytes::from(out))?)
    }

    fn lookup(&self) -> MutexGuard<'_, Option<(Instant, Frame)>> {
        // Each change is a single assignment.
        self.lookup.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
