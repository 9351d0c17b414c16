use std::io::{self, Read};

use litefs_core::snapshot::{self, SnapshotError};
use litefs_core::{NodeId, Position};

use super::real_disk::os_error;
use crate::apply::RealFile;

/// The pages of a database as they were at one position. Pages that change before they were read are kept in a file
/// without a name.
pub(super) type Image = snapshot::Image<RealFile, RealFile>;

/// A snapshot as an LTX file.
#[derive(Debug)]
pub struct SnapshotReader(snapshot::SnapshotReader<RealFile, RealFile>);

impl SnapshotReader {
    pub(super) fn new(
        image: Image,
        compressed: bool,
        node_id: NodeId,
        timestamp_ms: i64,
    ) -> io::Result<Self> {
        let reader = snapshot::SnapshotReader::new(image, compressed, node_id, timestamp_ms);
        reader.map(Self).map_err(io_error)
    }

    /// The position of the image.
    pub fn position(&self) -> Position {
        self.0.position()
    }
}

impl Read for SnapshotReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(io_error)
    }
}

/// A snapshot as a database file.
#[derive(Debug)]
pub struct ExportReader(snapshot::ExportReader<RealFile, RealFile>);

impl ExportReader {
    pub(super) fn new(image: Image) -> Self {
        Self(snapshot::ExportReader::new(image))
    }

    /// The position of the image.
    pub fn position(&self) -> Position {
        self.0.position()
    }

    /// Bytes of the database file.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there is nothing to export.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Read for ExportReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(io_error)
    }
}

fn io_error(error: SnapshotError) -> io::Error {
    match error {
        SnapshotError::Disk(errno) => os_error(errno),
        error => io::Error::other(error),
    }
}
