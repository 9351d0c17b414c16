use std::fs::File;

use litefs_core::Position;
use litefs_core::database::Received;
use litefs_core::node::Replaces;

/// An LTX file that arrived from the primary, complete and with every checksum in it verified.
#[derive(Debug)]
pub struct ReceivedLtx {
    /// What is in it.
    pub received: Received,
    /// Its bytes.
    pub bytes: ReceivedBytes,
    /// Set when the file is a snapshot that takes the place of other data.
    pub replaces: Option<Replaces>,
}

/// Where the bytes of a [`ReceivedLtx`] are.
#[derive(Debug)]
pub enum ReceivedBytes {
    /// In memory, up to 1 MiB.
    Memory(Vec<u8>),
    /// In a file without a name, from its beginning to its end.
    File {
        /// From [`crate::Host::scratch_file`].
        file: File,
        /// In bytes.
        len: u64,
    },
}

impl ReceivedLtx {
    /// Where the database is once this is applied.
    pub fn position(&self) -> Position {
        self.received.position()
    }
}
