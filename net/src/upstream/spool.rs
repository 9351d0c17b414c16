use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use litefs_core::database::{Inspector, Received};
use litefs_core::ltx::DecodeError;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{Host, ReceivedBytes};

/// Bytes of an LTX file that stay in memory. Larger ones go to a file, in batches of this size.
const BATCH: usize = 1 << 20;
/// Bytes that are checked at once on the task that receives them. More go to a thread that may block.
const INLINE: usize = 64 << 10;

/// An LTX file that is being received: it is checked as it arrives, and kept in memory or in a file without a name.
pub(super) struct Spool {
    host: Arc<dyn Host>,
    /// Whether the bytes are wanted, or only to be checked.
    keep: bool,
    batch: Vec<u8>,
    rest: Rest,
}

/// What was done with the batches before.
enum Rest {
    Here(Box<Written>),
    /// On a thread that may block.
    Busy(JoinHandle<Result<Box<Written>, SpoolError>>),
}

#[derive(Default)]
struct Written {
    inspector: Inspector,
    /// The file and its length in bytes, once there is one.
    file: Option<(File, u64)>,
}

/// Why an LTX file could not be received.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    /// The primary sent something wrong.
    #[error(transparent)]
    Invalid(#[from] DecodeError),
    /// It could not be kept.
    #[error("cannot keep what is received: {0}")]
    Io(#[from] io::Error),
}

impl Spool {
    /// An LTX file of which nothing was received. If `keep` is false its bytes are checked and forgotten.
    pub(super) fn new(host: Arc<dyn Host>, keep: bool) -> Self {
        Self { host, keep, batch: Vec::new(), rest: Rest::Here(Box::default()) }
    }

    /// Takes the bytes that follow those taken before.
    pub(super) async fn push(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        self.batch.extend_from_slice(bytes);
        if self.batch.len() < BATCH {
            return Ok(());
        }
        let written = self.rest.take().await?;
        let (host, keep) = (Arc::clone(&self.host), self.keep);
        let batch = mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.rest = Rest::Busy(spawn_blocking(move || written.with(&batch, keep, host.as_ref())));
        Ok(())
    }

    /// All of it was taken. Returns what is in it, and the bytes if they are wanted.
    pub(super) async fn finish(mut self) -> Result<(Received, ReceivedBytes), SpoolError> {
        let mut written = self.rest.take().await?;
        if written.file.is_some() && self.keep {
            let host = Arc::clone(&self.host);
            let batch = mem::take(&mut self.batch);
            let job = spawn_blocking(move || written.with(&batch, true, host.as_ref()));
            written = job.await.map_err(io::Error::other)??;
        } else if self.batch.len() <= INLINE {
            written.inspector.feed(&self.batch)?;
        } else {
            let batch = mem::take(&mut self.batch);
            let job = spawn_blocking(move || written.inspector.feed(&batch).map(|()| (written, batch)));
            (written, self.batch) = job.await.map_err(io::Error::other)??;
        }
        let received = written.inspector.finish()?;
        let bytes = match written.file {
            Some((file, len)) => ReceivedBytes::File { file, len },
            None => ReceivedBytes::Memory(self.batch),
        };
        Ok((received, bytes))
    }
}

impl Rest {
    /// Waits for the thread. Must be given something back unless this fails.
    async fn take(&mut self) -> Result<Box<Written>, SpoolError> {
        match mem::replace(self, Self::Here(Box::default())) {
            Self::Here(written) => Ok(written),
            Self::Busy(job) => job.await.map_err(io::Error::other)?,
        }
    }
}

impl Written {
    /// Checks a batch and appends it to the file, which is created for the first batch. Blocks.
    fn with(mut self: Box<Self>, batch: &[u8], keep: bool, host: &dyn Host) -> Result<Box<Self>, SpoolError> {
        self.inspector.feed(batch)?;
        if keep {
            let (mut file, len) = match self.file.take() {
                Some(file) => file,
                None => (host.scratch_file()?, 0),
            };
            file.write_all(batch)?;
            self.file = Some((file, len + batch.len() as u64));
        }
        Ok(self)
    }
}
