use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// A body that a peer sends, as a blocking reader for a thread that may block.
///
/// A body that breaks off is an error, never an end.
#[derive(Debug)]
pub(crate) struct BodyReader {
    body: Incoming,
    piece: Bytes,
    /// How long the peer may send nothing.
    patience: Duration,
    runtime: Handle,
}

impl BodyReader {
    /// Reads `body` with the help of `runtime`.
    pub(crate) fn new(body: Incoming, patience: Duration, runtime: Handle) -> Self {
        Self { body, piece: Bytes::new(), patience, runtime }
    }
}

impl io::Read for BodyReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        while self.piece.is_empty() {
            match self.runtime.block_on(timeout(self.patience, self.body.frame())) {
                Err(_) => {
                    let reason = format!("the peer sent nothing for {:?}", self.patience);
                    return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
                }
                Ok(None) => return Ok(0),
                Ok(Some(Err(error))) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)),
                Ok(Some(Ok(frame))) => self.piece = frame.into_data().unwrap_or_default(),
            }
        }
        let len = into.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut into[..len]);
        Ok(len)
    }
}
