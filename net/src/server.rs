use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::route::{self, Context};
use crate::stall_guard::StallGuard;
use crate::subscribers::Subscribers;
use crate::{Host, Inbox, Limits, Metrics, Stop};

/// How long accepting pauses when the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often an HTTP/2 peer is asked whether it is there, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Concurrent requests of one HTTP/2 connection.
const STREAMS_PER_CONNECTION: u32 = 128;
/// Bytes an uploading HTTP/2 peer may send ahead of what was read.
const UPLOAD_WINDOW: u32 = 1 << 20;

/// The HTTP API of a node: HTTP/1.1, and HTTP/2 without TLS by prior knowledge, on one port.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Takes the address. Connections wait until [`Server::serve`].
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// The address that was taken, with the port that the system chose if none was given.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers requests until it is told to stop; replicas are handed to the [`crate::Member`] that `inbox` belongs to. Then
    /// gives those under way [`Limits::drain_timeout`] to end.
    ///
    /// Needs a multi-threaded runtime with I/O and time.
    pub async fn serve(
        self,
        host: Arc<dyn Host>,
        inbox: Inbox,
        metrics: Arc<Metrics>,
        limits: Limits,
        stop: Stop,
    ) {
        let context = Arc::new(Context {
            host,
            inbox,
            metrics,
            limits,
            stop: stop.clone(),
            subscribers: Subscribers::default(),
        });
        let places = Arc::new(Semaphore::new(limits.connections));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.stopped() => break,
                // Only tidies up: connections report their own errors.
                Some(_) = connections.join_next() => continue,
                accepted = accept(&self.listener, &places) => accepted,
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    let context = Arc::clone(&context);
                    connections.spawn(async move {
                        serve_connection(stream, peer, context).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        let drain = async { while connections.join_next().await.is_some() {} };
        if timeout(limits.drain_timeout, drain).await.is_err() {
            info!(connections = connections.len(), "closing connections that are still open");
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, context: Arc<Context>) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "cannot turn off send delay");
    }
    let (limits, stop) = (context.limits, context.stop.clone());
    let io = TokioIo::new(StallGuard::new(stream, limits.header_timeout, limits.stall_timeout));
    let service = hyper::service::service_fn(|request| route::answer(Arc::clone(&context), request));
    let builder = builder(&limits);
    let connection = builder.serve_connection(io, service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.stopped() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        debug!(%peer, error, "connection failed");
    }
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        // hyper refuses less than 8 KiB.
        .max_buf_size((limits.header_bytes as usize).max(8 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .initial_stream_window_size(UPLOAD_WINDOW)
        .initial_connection_window_size(UPLOAD_WINDOW)
        .max_header_list_size(limits.header_bytes);
    builder
}
