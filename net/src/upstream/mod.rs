//! The stream from the primary.

mod follow_error;
mod frame_reader;
mod spool;
mod steps;

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use litefs_core::database::Received;
use litefs_core::node::{Application, Arrived, Body, Delivery, Event, PrimaryInfo, StreamId};
use litefs_core::{DatabaseName, Position};
use tracing::warn;

use self::follow_error::FollowError;
use self::frame_reader::FrameReader;
use self::steps::{Arriving, Content, Progress};
use crate::{Host, ReceivedBytes, ReceivedLtx, query};

/// What an LTX file in a file takes of the room for those that wait, in bytes: it is not memory, but a file.
const SIZE_OF_FILE: usize = 1 << 20;

/// The stream that this node follows, and what arrived and is not applied yet.
///
/// It goes on while somebody awaits [`Upstream::next`], and has no task of its own: a transaction that arrives is thus
/// judged by the task that the connection wakes up.
pub(crate) struct Upstream {
    host: Arc<dyn Host>,
    /// With the databases to replicate.
    path: String,
    stream: Option<(StreamId, State)>,
    kept: BTreeMap<Delivery, (Received, ReceivedBytes)>,
}

enum State {
    Busy(Step),
    /// The next frame was not asked for yet.
    BetweenFrames(FrameReader),
    /// The header of an LTX file was read.
    WithinLtx(FrameReader, Arriving),
}

type Step = Pin<Box<dyn Future<Output = Result<Progress, FollowError>> + Send>>;

impl Upstream {
    /// For a node that replicates these databases, or all if there are none.
    pub(crate) fn new(host: Arc<dyn Host>, databases: &[DatabaseName]) -> Self {
        let names: Vec<_> = databases.iter().map(|name| query::encode(name.as_str())).collect();
        let path = match names.as_slice() {
            [] => "/stream".to_owned(),
            names => format!("/stream?filter={}", names.join("%2C")),
        };
        Self { host, path, stream: None, kept: BTreeMap::new() }
    }

    /// Connects to the primary. The stream before this one is over.
    pub(crate) fn connect(
        &mut self,
        stream: StreamId,
        primary: PrimaryInfo,
        announce: BTreeMap<DatabaseName, Position>,
    ) {
        let step = steps::connect(Arc::clone(&self.host), primary, self.path.clone(), announce);
        self.stream = Some((stream, State::Busy(Box::pin(step))));
    }

    /// Reads the next frame.
    pub(crate) fn read(&mut self, stream: StreamId) {
        if let Some(State::BetweenFrames(frames)) = self.take(stream) {
            self.stream = Some((stream, State::Busy(Box::pin(steps::read(frames)))));
        }
    }

    /// Reads the rest of the LTX file whose header was read.
    pub(crate) fn read_body(&mut self, stream: StreamId, keep: Option<Delivery>) {
        if let Some(State::WithinLtx(frames, ltx)) = self.take(stream) {
            let step = steps::read_body(Arc::clone(&self.host), frames, ltx, keep);
            self.stream = Some((stream, State::Busy(Box::pin(step))));
        }
    }

    /// Closes the stream.
    pub(crate) fn close(&mut self, stream: StreamId) {
        self.take(stream);
    }

    /// The LTX file that is to be applied.
    pub(crate) fn take_kept(&mut self, application: &Application) -> Option<ReceivedLtx> {
        let (received, bytes) = self.kept.remove(&application.delivery)?;
        Some(ReceivedLtx { received, bytes, replaces: application.replaces })
    }

    /// Forgets an LTX file.
    pub(crate) fn discard(&mut self, delivery: Delivery) {
        self.kept.remove(&delivery);
    }

    /// What happens next on the stream. Never returns while nothing is asked for. Can be dropped and called again at any
    /// time.
    pub(crate) async fn next(&mut self) -> Event {
        let Some((stream, State::Busy(step))) = &mut self.stream else { return pending().await };
        let (stream, outcome) = (*stream, step.await);
        self.stream = None;
        match outcome {
            Ok(progress) => self.went_on(stream, progress),
            Err(error) => {
                warn!(%error, "disconnected from primary with error, retrying");
                Event::Ended { stream, orderly: false }
            }
        }
    }

    fn went_on(&mut self, stream: StreamId, progress: Progress) -> Event {
        let (state, event) = match progress {
            Progress::Ended => return Event::Ended { stream, orderly: true },
            Progress::Connected { frames, cluster } => {
                (State::BetweenFrames(frames), Event::Connected { stream, cluster })
            }
            Progress::Frame { frames, frame } => {
                (State::BetweenFrames(frames), Event::Frame { stream, frame })
            }
            Progress::Header { frames, ltx } => {
                let (database, header) = (ltx.database.clone(), ltx.header);
                (State::WithinLtx(frames, ltx), Event::Header { stream, database, header })
            }
            Progress::Body { frames, content } => {
                let body = self.keep(content);
                (State::BetweenFrames(frames), Event::Body { stream, body })
            }
        };
        self.stream = Some((stream, state));
        event
    }

    fn keep(&mut self, content: Content) -> Body {
        match content {
            Content::Skipped => Body::Skipped,
            Content::Lost => Body::Lost,
            Content::Kept { delivery, received, bytes } => {
                let size = match &bytes {
                    ReceivedBytes::Memory(bytes) => bytes.len(),
                    ReceivedBytes::File { .. } => SIZE_OF_FILE,
                };
                let arrived = Arrived::new(&received, size);
                self.kept.insert(delivery, (received, bytes));
                Body::Kept { delivery, arrived }
            }
        }
    }

    fn take(&mut self, stream: StreamId) -> Option<State> {
        self.stream.take_if(|(id, _)| *id == stream).map(|(_, state)| state)
    }
}
