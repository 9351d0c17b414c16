use std::future::pending;

use litefs_core::{DatabaseName, Position};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::Host;

/// The moves of the databases' durable positions, while somebody is interested.
#[derive(Debug, Default)]
pub(crate) struct Changes(Option<broadcast::Receiver<(DatabaseName, Position)>>);

impl Changes {
    /// Listens from now on, if not already.
    pub(crate) fn open(&mut self, host: &dyn Host) {
        self.0.get_or_insert_with(|| host.changes());
    }

    /// Listens no more.
    pub(crate) fn close(&mut self) {
        self.0 = None;
    }

    /// The next move. Never returns while nobody listens. Can be dropped and called again at any time.
    pub(crate) async fn next(&mut self) -> Result<(DatabaseName, Position), RecvError> {
        match &mut self.0 {
            Some(receiver) => receiver.recv().await,
            None => pending().await,
        }
    }
}
