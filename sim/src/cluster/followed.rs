use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use litefs_core::DatabaseName;
use litefs_core::database::{Inspector, Received};
use litefs_core::ltx::{Decoder, Header, Item};
use litefs_core::stream::{Chunk, ChunkReader, Frame};

use crate::network::Connection;
use crate::rt;

/// How long the primary may send nothing. It sends a heartbeat each second.
const SILENCE: Duration = Duration::from_secs(3);

/// The replica's end of a replication stream.
#[derive(Debug)]
pub(crate) struct Followed {
    connection: Rc<Connection>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What arrived and was not read.
    received: Vec<u8>,
    /// The chunks of the LTX file under way.
    chunks: Option<ChunkReader>,
    /// What was read of the LTX file to get its header.
    head: Vec<u8>,
}

/// What stands next in a stream.
#[derive(Debug)]
pub(crate) enum Next {
    /// A frame that is not an LTX file.
    Frame(Frame),
    /// An LTX file of this database with this header. Its bytes are to be read next.
    Ltx(DatabaseName, Header),
}

/// The stream is of no more use, and why.
#[derive(Debug)]
pub(crate) struct StreamError(pub(crate) String);

impl Followed {
    /// The stream on this connection, after the reply of the primary.
    pub(crate) fn new(connection: Rc<Connection>, received: Vec<u8>) -> Self {
        Self { connection, state: RefCell::new(State { received, ..State::default() }) }
    }

    /// The connection.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What stands next.
    pub(crate) async fn next(&self) -> Result<Next, StreamError> {
        loop {
            let decoded = Frame::decode(&self.state.borrow().received).map_err(failed)?;
            if let Some((frame, used)) = decoded {
                self.state.borrow_mut().received.drain(..used);
                let Frame::Ltx { database } = frame else { return Ok(Next::Frame(frame)) };
                self.state.borrow_mut().chunks = Some(ChunkReader::new());
                let header = self.header().await?;
                return Ok(Next::Ltx(database, header));
            }
            self.receive().await?;
        }
    }

    /// The header of the LTX file under way.
    async fn header(&self) -> Result<Header, StreamError> {
        let mut decoder = Decoder::new();
        while let Some(bytes) = self.chunk().await? {
            self.state.borrow_mut().head.extend_from_slice(&bytes);
            decoder.feed(&bytes);
            if let Some(Item::Header(header)) = decoder.next().map_err(failed)? {
                return Ok(header);
            }
        }
        Err(StreamError("the file is over before its header is".to_owned()))
    }

    /// The rest of the LTX file under way, verified, and all of its bytes.
    pub(crate) async fn body(&self) -> Result<(Received, Vec<u8>), StreamError> {
        let mut inspector = Inspector::default();
        let mut bytes = std::mem::take(&mut self.state.borrow_mut().head);
        inspector.feed(&bytes).map_err(failed)?;
        while let Some(chunk) = self.chunk().await? {
            inspector.feed(&chunk).map_err(failed)?;
            bytes.extend_from_slice(&chunk);
        }
        Ok((inspector.finish().map_err(failed)?, bytes))
    }

    /// The next bytes of the LTX file under way, `None` after the last.
    async fn chunk(&self) -> Result<Option<Vec<u8>>, StreamError> {
        loop {
            {
                let State { received, chunks: slot, .. } = &mut *self.state.borrow_mut();
                let Some(chunks) = slot else { return Ok(None) };
                match chunks.read(received) {
                    Chunk::Data { start, end } => {
                        let bytes: Vec<u8> = received.drain(..end).skip(start).collect();
                        if !bytes.is_empty() {
                            return Ok(Some(bytes));
                        }
                        continue;
                    }
                    Chunk::End { used } => {
                        received.drain(..used);
                        *slot = None;
                        return Ok(None);
                    }
                    Chunk::NeedsMore => {}
                }
            }
            self.receive().await?;
        }
    }

    async fn receive(&self) -> Result<(), StreamError> {
        let bytes = match rt::timeout(SILENCE, self.connection.read()).await {
            None => return Err(StreamError(format!("the primary sent nothing for {SILENCE:?}"))),
            Some(Err(_)) => return Err(StreamError("the connection broke".to_owned())),
            Some(Ok(bytes)) if bytes.is_empty() => return Err(StreamError("the stream ends".to_owned())),
            Some(Ok(bytes)) => bytes,
        };
        self.state.borrow_mut().received.extend_from_slice(&bytes);
        Ok(())
    }
}

fn failed(error: impl ToString) -> StreamError {
    StreamError(error.to_string())
}
