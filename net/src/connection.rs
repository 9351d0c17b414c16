use std::io;
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use litefs_core::NodeId;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use crate::body::MessageBody;
use crate::{BaseUrl, ClientError, header};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the other node is asked whether it is there while a request runs, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes the other node may send ahead of what was read. Covers a round trip of 40 ms at 200 MB/s.
const WINDOW: u32 = 8 << 20;
/// Bytes in one HTTP/2 frame, at most.
const MAX_FRAME: u32 = 256 << 10;
/// Bytes of an error text that are shown.
const ERROR_TEXT: usize = 4096;

/// An HTTP/2 connection to one node, without TLS, by prior knowledge.
#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    sender: SendRequest<MessageBody>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(url: &BaseUrl) -> Result<Self, ClientError> {
        let address = url.authority();
        let failed = |error| ClientError::Connect { address: address.clone(), error };
        let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address.as_str())).await {
            Ok(stream) => stream.map_err(failed)?,
            Err(_) => {
                return Err(failed(io::Error::new(io::ErrorKind::TimedOut, "connecting takes too long")));
            }
        };
        stream.set_nodelay(true).map_err(failed)?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(MAX_FRAME)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| ClientError::Http { address: address.clone(), error })?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "connection to a node ended");
            }
        });
        Ok(Self { address, sender })
    }

    /// Sends a request and waits, without limit, for the header of its reply, which must be 200.
    pub(crate) async fn request(
        &mut self,
        method: http::Method,
        path_and_query: &str,
        node: Option<NodeId>,
        body: MessageBody,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        let uri = format!("http://{}{path_and_query}", self.address);
        *request.uri_mut() = uri.parse().map_err(|error: http::uri::InvalidUri| {
            ClientError::Local(io::Error::new(io::ErrorKind::InvalidInput, error))
        })?;
        if let Some(id) = node.and_then(|id| HeaderValue::from_str(&id.to_string()).ok()) {
            request.headers_mut().insert(header::ID, id);
        }
        let reply = self.sender.send_request(request).await.map_err(|error| self.http(error))?;
        if reply.status() == StatusCode::OK {
            return Ok(reply);
        }
        let status = reply.status();
        let text = collect(reply.into_body(), ERROR_TEXT).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let message = match text.trim() {
            "" => format!("{} replied {status}", self.address),
            text => text.to_owned(),
        };
        Err(ClientError::Refused { status: status.as_u16(), message })
    }

    /// [`ClientError::Http`] on this connection.
    pub(crate) fn http(&self, error: hyper::Error) -> ClientError {
        ClientError::Http { address: self.address.clone(), error }
    }

    /// [`ClientError::Silent`] on this connection.
    pub(crate) fn silent(&self, after: Duration) -> ClientError {
        ClientError::Silent { address: self.address.clone(), after }
    }

    /// [`ClientError::Reply`] on this connection.
    pub(crate) fn unexpected(&self, reason: impl ToString) -> ClientError {
        ClientError::Reply { address: self.address.clone(), reason: reason.to_string() }
    }
}

/// The first `limit` bytes of a body.
pub(crate) async fn collect(mut body: Incoming, limit: usize) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await.transpose()? {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data[..data.len().min(limit - bytes.len())]);
        }
        if bytes.len() == limit {
            break;
        }
    }
    Ok(bytes)
}
