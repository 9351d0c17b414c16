//! Bodies of requests and replies: either known at once, or sent piece by piece through a bounded channel.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;

/// Pieces that wait for the peer to read them, per message.
const PIECES: usize = 4;

/// The body of a message.
#[derive(Debug)]
pub(crate) enum MessageBody {
    /// All of it.
    Whole(Option<Bytes>),
    /// What a [`BodySender`] sends.
    Pieces {
        pieces: mpsc::Receiver<Piece>,
        /// Bytes still to come, if known from the start.
        rest: Option<u64>,
        ended: bool,
    },
}

#[derive(Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    End,
}

/// The sending side of a body. If it and its clones are dropped before [`BodySender::finish`], the message is cut off visibly: the stream
/// is reset (HTTP/2) or the connection closed without the last chunk (HTTP/1.1). So a failure never looks like an end.
#[derive(Clone, Debug)]
pub(crate) struct BodySender {
    pieces: mpsc::Sender<Piece>,
    /// How long the peer may take to read one piece.
    patience: Duration,
}

/// Why a piece could not be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum SendError {
    #[error("the peer closed the connection")]
    Closed,
    #[error("the peer read nothing for {0:?}")]
    Stuck(Duration),
}

/// Why a piece was not taken at once.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There is no room for it now.
    Full(Bytes),
    /// The peer closed the connection.
    Closed,
}

/// The message was cut off: its sender failed after the header had been sent.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the message was cut off after its header was sent")]
pub(crate) struct CutOff;

impl MessageBody {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }

    /// A body of `len` bytes, if known, and its sending side.
    pub(crate) fn pieces(len: Option<u64>, patience: Duration) -> (BodySender, Self) {
        let (sender, pieces) = mpsc::channel(PIECES);
        (BodySender { pieces: sender, patience }, Self::Pieces { pieces, rest: len, ended: false })
    }
}

impl BodySender {
    /// Sends a piece once there is room for it.
    pub(crate) async fn send(&self, bytes: Bytes) -> Result<(), SendError> {
        match timeout(self.patience, self.pieces.send(Piece::Data(bytes))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SendError::Closed),
            Err(_) => Err(SendError::Stuck(self.patience)),
        }
    }

    /// Sends a piece if there is room for it.
    pub(crate) fn try_send(&self, bytes: Bytes) -> Result<(), Refused> {
        self.pieces.try_send(Piece::Data(bytes)).map_err(|error| match error {
            TrySendError::Full(Piece::Data(bytes)) => Refused::Full(bytes),
            TrySendError::Full(Piece::End) | TrySendError::Closed(_) => Refused::Closed,
        })
    }

    /// [`BodySender::send`] for a thread that may block.
    pub(crate) fn blocking_send(&self, runtime: &Handle, bytes: Bytes) -> Result<(), SendError> {
        match self.try_send(bytes) {
            Ok(()) => Ok(()),
            Err(Refused::Full(bytes)) => runtime.block_on(self.send(bytes)),
            Err(Refused::Closed) => Err(SendError::Closed),
        }
    }

    /// Ends the body as it should end.
    pub(crate) async fn finish(self) {
        // If the peer is gone or stuck, an end and a cut make no difference to it.
        let _ = timeout(self.patience, self.pieces.send(Piece::End)).await;
    }

    /// Waits until the peer is gone.
    pub(crate) async fn closed(&self) {
        self.pieces.closed().await;
    }
}

impl Body for MessageBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Pieces { ended: true, .. } => Poll::Ready(None),
            Self::Pieces { pieces, rest, ended } => pieces.poll_recv(cx).map(|piece| match piece {
                Some(Piece::Data(bytes)) => {
                    if let Some(rest) = rest {
                        *rest = rest.saturating_sub(bytes.len() as u64);
                    }
                    Some(Ok(Frame::data(bytes)))
                }
                Some(Piece::End) => {
                    *ended = true;
                    None
                }
                None => {
                    *ended = true;
                    Some(Err(CutOff))
                }
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Pieces { ended, .. } => *ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Pieces { rest: Some(rest), .. } => SizeHint::with_exact(*rest),
            Self::Pieces { rest: None, .. } => SizeHint::new(),
        }
    }
}
