use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::ClientError;
use crate::connection::Connection;

/// Bytes in one line, at most.
const LINE: usize = 64 << 10;

/// The events of a node, as it sends them.
#[derive(Debug)]
pub struct EventLines {
    connection: Connection,
    body: Incoming,
    received: Vec<u8>,
}

impl EventLines {
    pub(crate) fn new(connection: Connection, body: Incoming) -> Self {
        Self { connection, body, received: Vec::new() }
    }

    /// The next event as JSON, or `None` when the node stopped. Waits without limit, and can be dropped at any time.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let rest = self.received.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.received, rest);
                line.truncate(end);
                return String::from_utf8(line).map(Some).map_err(|error| self.connection.unexpected(error));
            }
            if self.received.len() > LINE {
                return Err(self.connection.unexpected(format_args!("a line of more than {LINE} bytes")));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.received.extend(frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Err(self.connection.http(error)),
                None => return Ok(None),
            }
        }
    }
}
