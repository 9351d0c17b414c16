use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use litefs_core::stream::{Chunk, ChunkReader, Frame, FrameError};
use tokio::time::timeout;

use crate::causes::with_causes;
use crate::connection::Connection;

/// How long the primary may send nothing. It sends a heartbeat each second.
const SILENCE: Duration = Duration::from_secs(10);

/// Reads the frames of a replication stream.
#[derive(Debug)]
pub(super) struct FrameReader {
    body: Incoming,
    /// What arrived and was not read.
    received: BytesMut,
    /// The chunks of the LTX file under way.
    chunks: Option<ChunkReader>,
    /// Ends with this reader.
    _connection: Connection,
}

/// Why a replication stream broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// The primary is gone, or busy with something that it should not be.
    #[error("the primary sent nothing for {0:?}")]
    Silent(Duration),
    /// The connection broke.
    #[error("the stream failed: {}", with_causes(.0))]
    Http(#[from] hyper::Error),
    /// The stream ends within a frame.
    #[error("the stream ends within a frame")]
    CutOff,
    /// What the primary sent is not a frame.
    #[error("the primary sent nonsense: {0}")]
    Frame(#[from] FrameError),
}

impl FrameReader {
    /// Reads the frames in `body`, which belongs to `connection`.
    pub(super) fn new(body: Incoming, connection: Connection) -> Self {
        Self { body, received: BytesMut::new(), chunks: None, _connection: connection }
    }

    /// The next frame, or `None` if the stream ends between frames. If it is an LTX frame, its chunks come next.
    pub(super) async fn frame(&mut self) -> Result<Option<Frame>, StreamError> {
        loop {
            if let Some((frame, used)) = Frame::decode(&self.received)? {
                self.received.advance(used);
                if matches!(frame, Frame::Ltx { .. }) {
                    self.chunks = Some(ChunkReader::new());
                }
                return Ok(Some(frame));
            }
            match self.receive().await {
                Err(StreamError::CutOff) if self.received.is_empty() => return Ok(None),
                outcome => outcome?,
            }
        }
    }

    /// The next bytes of the LTX file whose frame was read, or `None` after the last.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, StreamError> {
        while let Some(chunks) = &mut self.chunks {
            match chunks.read(&self.received) {
                Chunk::Data { start, end } => {
                    self.received.advance(start);
                    let bytes = self.received.split_to(end - start);
                    if !bytes.is_empty() {
                        return Ok(Some(bytes.freeze()));
                    }
                }
                Chunk::End { used } => {
                    self.received.advance(used);
                    self.chunks = None;
                }
                Chunk::NeedsMore => self.receive().await?,
            }
        }
        Ok(None)
    }

    /// Reads what is left of the LTX file whose frame was read.
    pub(super) async fn skip_body(&mut self) -> Result<(), StreamError> {
        while self.chunk().await?.is_some() {}
        Ok(())
    }

    /// Receives at least one byte.
    async fn receive(&mut self) -> Result<(), StreamError> {
        loop {
            let frame =
                timeout(SILENCE, self.body.frame()).await.map_err(|_| StreamError::Silent(SILENCE))?;
            let data = frame.ok_or(StreamError::CutOff)??.into_data().unwrap_or_default();
            if !data.is_empty() {
                self.received.extend_from_slice(&data);
                return Ok(());
            }
        }
    }
}
