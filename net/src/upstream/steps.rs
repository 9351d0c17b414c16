//! What a stream from the primary does, one step at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use litefs_core::database::Received;
use litefs_core::ltx::Header;
use litefs_core::node::{Delivery, PrimaryInfo};
use litefs_core::stream::{Frame, encode_position_map};
use litefs_core::{ClusterId, DatabaseName, Position};
use tokio::time::timeout;
use tracing::{info, warn};

use super::follow_error::FollowError;
use super::frame_reader::{FrameReader, StreamError};
use super::spool::{Spool, SpoolError};
use crate::body::MessageBody;
use crate::connection::Connection;
use crate::verifier::Verifier;
use crate::{ClientError, Host, InvalidUrl, ReceivedBytes, header};

/// How long the primary may take to answer. It sends the header of its reply before it has anything to send.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a step came to.
pub(super) enum Progress {
    /// The primary accepted.
    Connected { frames: FrameReader, cluster: Option<ClusterId> },
    /// The primary ended the stream.
    Ended,
    /// A frame arrived that is not an LTX file.
    Frame { frames: FrameReader, frame: Frame },
    /// An LTX file arrives.
    Header { frames: FrameReader, ltx: Arriving },
    /// All of it arrived.
    Body { frames: FrameReader, content: Content },
}

/// An LTX file whose header arrived.
pub(super) struct Arriving {
    pub(super) database: DatabaseName,
    pub(super) header: Header,
    /// The bytes that were read, the header first.
    first: Vec<u8>,
}

/// What became of an LTX file that arrived.
pub(super) enum Content {
    /// It was not wanted.
    Skipped,
    /// It is verified.
    Kept { delivery: Delivery, received: Received, bytes: ReceivedBytes },
    /// It could not be kept.
    Lost,
}

/// Connects to the primary, and announces these positions.
pub(super) async fn connect(
    host: Arc<dyn Host>,
    primary: PrimaryInfo,
    path: String,
    announce: BTreeMap<DatabaseName, Position>,
) -> Result<Progress, FollowError> {
    let url = primary.url.parse().map_err(|error: InvalidUrl| ClientError::Url(error))?;
    let mut connection = Connection::open(&url).await?;
    let body = MessageBody::whole(encode_position_map(&announce));
    let node = Some(host.identity().node_id);
    let request = connection.request(Method::POST, &path, node, body);
    let reply = match timeout(REPLY_TIMEOUT, request).await {
        Ok(reply) => reply?,
        Err(_) => return Err(connection.silent(REPLY_TIMEOUT).into()),
    };
    let cluster = cluster_id(reply.headers())?;
    Ok(Progress::Connected { frames: FrameReader::new(reply.into_body(), connection), cluster })
}

fn cluster_id(headers: &HeaderMap) -> Result<Option<ClusterId>, FollowError> {
    let Some(value) = headers.get(header::CLUSTER_ID) else { return Ok(None) };
    let id = value.to_str().unwrap_or_default().parse::<ClusterId>();
    id.map(Some).map_err(|error| FollowError::ClusterId(error.to_string()))
}

/// Reads the next frame, and the header of an LTX file that follows it.
pub(super) async fn read(mut frames: FrameReader) -> Result<Progress, FollowError> {
    match frames.frame().await? {
        None => Ok(Progress::Ended),
        Some(Frame::Ltx { database }) => {
            let ltx = read_header(database, &mut frames).await?;
            Ok(Progress::Header { frames, ltx })
        }
        Some(frame) => {
            if let Frame::DropDatabase { database } = &frame {
                info!(%database, "deprecated drop db frame received, skipping");
            }
            Ok(Progress::Frame { frames, frame })
        }
    }
}

async fn read_header(database: DatabaseName, frames: &mut FrameReader) -> Result<Arriving, FollowError> {
    let damaged = |error| FollowError::Damaged { database: database.clone(), error };
    let mut first = Vec::new();
    while first.len() < Header::LEN {
        let Some(chunk) = frames.chunk().await? else { break };
        first.extend_from_slice(&chunk);
    }
    let mut verifier = Verifier::default();
    verifier.check(&first).map_err(damaged)?;
    match verifier.header() {
        Some(header) => Ok(Arriving { database, header, first }),
        // The file is over before its header is, and the verifier says where.
        None => Err(verifier.finish().map_or_else(damaged, |_| StreamError::CutOff.into())),
    }
}

/// Reads the rest of an LTX file and verifies it. The content stays only if it gets a number.
pub(super) async fn read_body(
    host: Arc<dyn Host>,
    mut frames: FrameReader,
    ltx: Arriving,
    keep: Option<Delivery>,
) -> Result<Progress, FollowError> {
    let Arriving { database, first, .. } = ltx;
    let mut spool = Spool::new(host, keep.is_some());
    let mut outcome = spool.push(&first).await;
    while outcome.is_ok() {
        let Some(chunk) = frames.chunk().await? else { break };
        outcome = spool.push(&chunk).await;
    }
    let content = match async { outcome.map(|()| spool)?.finish().await }.await {
        Ok((received, bytes)) => match keep {
            Some(delivery) => Content::Kept { delivery, received, bytes },
            None => Content::Skipped,
        },
        Err(SpoolError::Invalid(error)) => return Err(FollowError::Damaged { database, error }),
        Err(SpoolError::Io(error)) => {
            warn!(%database, %error, "transaction was not received");
            // Also if all of the body was read: then there is nothing left to skip.
            frames.skip_body().await?;
            Content::Lost
        }
    };
    Ok(Progress::Body { frames, content })
}
