use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Bytes that tell HTTP/1.1 from HTTP/2, at most.
const PREFACE: usize = 24;

/// A connection that fails when the peer stalls: when it does not say at first which HTTP it speaks, or when it does not
/// take what is written to it.
///
/// Between requests a peer may be silent; HTTP/2 pings and the header timeout of HTTP/1.1 look after that.
#[derive(Debug)]
pub(crate) struct StallGuard<T> {
    io: T,
    /// Runs out if the beginning does not arrive. `None` once it did.
    beginning: Option<Pin<Box<Sleep>>>,
    received: usize,
    /// Runs out if a write makes no progress.
    write: Pin<Box<Sleep>>,
    write_waits: bool,
    write_timeout: Duration,
}

impl<T> StallGuard<T> {
    pub(crate) fn new(io: T, first_bytes: Duration, write_timeout: Duration) -> Self {
        Self {
            io,
            beginning: Some(Box::pin(sleep(first_bytes))),
            received: 0,
            write: Box::pin(sleep(write_timeout)),
            write_waits: false,
            write_timeout,
        }
    }

    /// The outcome of a write, or an error if it has been pending for too long.
    fn watch<R>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if outcome.is_ready() {
            self.write_waits = false;
            return outcome;
        }
        if !self.write_waits {
            self.write_waits = true;
            self.write.as_mut().reset(Instant::now() + self.write_timeout);
        }
        ready!(self.write.as_mut().poll(cx));
        let reason = format!("the peer read nothing for {:?}", self.write_timeout);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for StallGuard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let outcome = Pin::new(&mut self.io).poll_read(cx, into);
        self.received += into.filled().len() - before;
        if self.received >= PREFACE {
            self.beginning = None;
        }
        if outcome.is_pending()
            && let Some(beginning) = &mut self.beginning
        {
            ready!(beginning.as_mut().poll(cx));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer sent no request")));
        }
        outcome
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for StallGuard<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.beginning = None;
        let outcome = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.beginning = None;
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
