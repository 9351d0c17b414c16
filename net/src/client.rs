use std::io::{self, Read, Write};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Body;
use litefs_core::{DatabaseName, NodeId};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::body::{BodySender, MessageBody};
use crate::connection::{Connection, collect};
use crate::{BaseUrl, ClientError, EventLines, InvalidUrl, Status, query};

/// How long a node may take for a short reply, and how long it may be silent in a long one.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes in a short reply. The status of 50,000 databases has fewer.
const SHORT_REPLY: usize = 32 << 20;
/// Bytes read from a file at a time.
const PIECE: usize = 256 << 10;

/// A client of the API of one node. Each request has a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    url: BaseUrl,
}

/// What `/info` tells about a node.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeInfo {
    /// The cluster it belongs to, or empty.
    #[serde(rename = "clusterID")]
    pub cluster_id: String,
    /// Whether it is the primary.
    pub is_primary: bool,
    /// Whether it may become primary.
    pub candidate: bool,
    /// Its data directory.
    pub path: String,
    /// The primary it knows.
    pub primary: PrimaryHostname,
}

/// The primary in [`NodeInfo`].
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct PrimaryHostname {
    /// Its host name, or empty if none is known.
    pub hostname: String,
}

impl Client {
    /// A client of the node at `url`, which is `http://host:port`.
    pub fn new(url: &str) -> Result<Self, InvalidUrl> {
        Ok(Self { url: url.parse()? })
    }

    /// What the node says it is. Nodes of LiteFS answer this too.
    pub async fn info(&self) -> Result<NodeInfo, ClientError> {
        self.get_json("/info").await
    }

    /// What the node is, with its databases. Nodes of LiteFS do not know this request.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get_json("/status").await
    }

    /// Asks the node to become primary. It may still be at it when this returns.
    pub async fn promote(&self) -> Result<(), ClientError> {
        self.post("/promote").await
    }

    /// Asks the node, which is primary, to hand that role to the node `target`.
    pub(crate) async fn handoff(&self, target: NodeId) -> Result<(), ClientError> {
        self.post(&format!("/handoff?nodeID={target}")).await
    }

    /// Writes the database, as SQLite has it on disk, to `sink`, and returns its size in bytes. `progress` hears how many
    /// bytes have arrived, and of how many if the node says so. An export that breaks off is an error.
    pub async fn export(
        &self,
        database: &DatabaseName,
        sink: &mut impl Write,
        mut progress: impl FnMut(u64, Option<u64>),
    ) -> Result<u64, ClientError> {
        let mut connection = Connection::open(&self.url).await?;
        let path = format!("/export?name={}", query::encode(database.as_str()));
        let request = connection.request(Method::GET, &path, None, MessageBody::Whole(None));
        let reply = request.await?;
        let mut body = reply.into_body();
        let total = body.size_hint().exact();
        let mut received = 0;
        loop {
            let Ok(frame) = timeout(PATIENCE, body.frame()).await else {
                return Err(connection.silent(PATIENCE));
            };
            let Some(frame) = frame.transpose().map_err(|error| connection.http(error))? else { break };
            let Ok(data) = frame.into_data() else { continue };
            sink.write_all(&data)?;
            received += data.len() as u64;
            progress(received, total);
        }
        match total {
            Some(total) if total != received => {
                Err(connection.unexpected(format_args!("{received} bytes of {total}")))
            }
            Some(_) | None => Ok(received),
        }
    }

    /// Replaces the database by what `source` reads, a database file as SQLite has it on disk of `len` bytes if that is
    /// known, or creates it. `progress` hears how many bytes have been sent. Nothing changes unless all of it arrives.
    pub async fn import(
        &self,
        database: &DatabaseName,
        source: impl Read + Send + 'static,
        len: Option<u64>,
        progress: impl FnMut(u64) + Send + 'static,
    ) -> Result<(), ClientError> {
        let mut connection = Connection::open(&self.url).await?;
        let (sender, body) = MessageBody::pieces(len, PATIENCE);
        let runtime = Handle::current();
        let upload = spawn_blocking(move || upload(source, sender, progress, &runtime));
        let path = format!("/import?name={}", query::encode(database.as_str()));
        let request = connection.request(Method::POST, &path, None, body);
        let reply = request.await;
        let uploaded = upload.await.map_err(io::Error::other)?;
        match (reply, uploaded) {
            // A node that refuses does not read the rest, so its reason comes first.
            (Err(error @ ClientError::Refused { .. }), _) => Err(error),
            (_, Err(UploadError::Local(error))) => Err(ClientError::Local(error)),
            (reply, _) => reply.map(drop),
        }
    }

    /// What happens on the node from now on.
    pub async fn events(&self) -> Result<EventLines, ClientError> {
        let mut connection = Connection::open(&self.url).await?;
        let request = connection.request(Method::GET, "/events", None, MessageBody::Whole(None));
        let body = self.patiently(request).await?.into_body();
        Ok(EventLines::new(connection, body))
    }

    async fn get_json<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, ClientError> {
        let mut connection = Connection::open(&self.url).await?;
        let text = self.patiently(async {
            let reply = connection.request(Method::GET, path, None, MessageBody::Whole(None)).await?;
            collect(reply.into_body(), SHORT_REPLY).await.map_err(|error| connection.http(error))
        });
        serde_json::from_slice(&text.await?).map_err(|error| connection.unexpected(error))
    }

    async fn post(&self, path: &str) -> Result<(), ClientError> {
        let mut connection = Connection::open(&self.url).await?;
        self.patiently(connection.request(Method::POST, path, None, MessageBody::Whole(None))).await?;
        Ok(())
    }

    /// A short reply, which must not take long.
    async fn patiently<T>(
        &self,
        reply: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        match timeout(PATIENCE, reply).await {
            Ok(reply) => reply,
            Err(_) => Err(ClientError::Silent { address: self.url.authority(), after: PATIENCE }),
        }
    }
}

/// Why an upload ended early.
enum UploadError {
    /// The file could not be read.
    Local(io::Error),
    /// The node does not take more.
    Refused,
}

fn upload(
    mut source: impl Read,
    sender: BodySender,
    mut progress: impl FnMut(u64),
    runtime: &Handle,
) -> Result<(), UploadError> {
    let mut sent = 0;
    loop {
        let mut piece = vec![0; PIECE];
        let len = match source.read(&mut piece) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(UploadError::Local(error)),
        };
        if len == 0 {
            runtime.block_on(sender.finish());
            return Ok(());
        }
        piece.truncate(len);
        sender.blocking_send(runtime, Bytes::from(piece)).map_err(|_| UploadError::Refused)?;
        sent += len as u64;
        progress(sent);
    }
}
