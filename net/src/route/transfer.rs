//! `/import` and `/export`: whole databases as SQLite has them on disk.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::Context;
use crate::body::{BodySender, MessageBody};
use crate::body_reader::BodyReader;
use crate::reply::{Reply, bad_request, done, error_reply, internal_error};
use crate::{Export, ExportError, ImportError, Stop, query};

/// Bytes read from the database at a time.
const PIECE: usize = 256 << 10;

pub(super) async fn import(context: Arc<Context>, request: Request<Incoming>) -> Reply {
    let name = match query::database(request.uri().query()) {
        Ok(name) => name,
        Err(error) => return bad_request(&error.to_string()),
    };
    if !context.host.standing().borrow().role.is_primary() {
        return lease_expired();
    }
    let mut body = BodyReader::new(request.into_body(), context.limits.stall_timeout, Handle::current());
    let imported = spawn_blocking(move || {
        let outcome = context.host.import(&name, &mut body);
        match &outcome {
            Ok(position) => info!(database = %name, %position, "imported"),
            Err(error) => warn!(database = %name, %error, "import failed"),
        }
        outcome
    });
    match imported.await {
        Ok(Ok(_)) => done(),
        Ok(Err(ImportError::NotPrimary)) => lease_expired(),
        Ok(Err(error @ (ImportError::Invalid(_) | ImportError::Io(_)))) => internal_error(&error.to_string()),
        Err(error) => internal_error(&error.to_string()),
    }
}

pub(super) async fn export(context: Arc<Context>, request: Request<Incoming>) -> Reply {
    let name = match query::database(request.uri().query()) {
        Ok(name) => name,
        Err(error) => return bad_request(&error.to_string()),
    };
    let host = Arc::clone(&context.host);
    let database = name.clone();
    let export = match spawn_blocking(move || host.export(&database)).await {
        Ok(Ok(export)) => export,
        Ok(Err(error @ ExportError::NotFound)) => {
            return error_reply(StatusCode::NOT_FOUND, &error.to_string());
        }
        Ok(Err(error @ (ExportError::Empty | ExportError::Io(_)))) => {
            return internal_error(&error.to_string());
        }
        Err(error) => return internal_error(&error.to_string()),
    };
    let (sender, body) = MessageBody::pieces(Some(export.len), context.limits.stall_timeout);
    let runtime = Handle::current();
    let stop = context.stop.clone();
    spawn_blocking(move || match pump(export, &sender, &runtime, &stop) {
        Ok(()) => runtime.block_on(sender.finish()),
        Err(error) => warn!(database = %name, %error, "export was cut off"),
    });
    let mut reply = Response::new(body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    reply
}

/// Sends a database to a peer, at the speed at which it reads.
fn pump(mut export: Export, sender: &BodySender, runtime: &Handle, stop: &Stop) -> Result<(), PumpError> {
    let mut rest = export.len;
    while rest > 0 {
        if stop.is_stopped() {
            return Err(PumpError::Stopped);
        }
        let mut piece = vec![0; usize::try_from(rest).unwrap_or(PIECE).min(PIECE)];
        export.reader.read_exact(&mut piece)?;
        rest -= piece.len() as u64;
        sender.blocking_send(runtime, Bytes::from(piece))?;
    }
    Ok(())
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
enum PumpError {
    #[error("cannot read the database: {0}")]
    Read(#[from] std::io::Error),
    #[error(transparent)]
    Send(#[from] crate::body::SendError),
    #[error("this node is stopping")]
    Stopped,
}

fn lease_expired() -> Reply {
    error_reply(StatusCode::SERVICE_UNAVAILABLE, "lease expired")
}
