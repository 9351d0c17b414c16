use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use litefs_core::apply::{LtxPages, Pages};
use litefs_core::database::Received;
use litefs_core::{Errno, Position, ReadAt, Txid, ltx};

use super::TakeoverError;
use crate::store::ltx_file::inspect;
use crate::store::real_disk::errno;

/// A directory with one LTX file for each transaction, as LiteFS keeps it.
#[derive(Debug)]
pub(super) struct LtxDirectory {
    path: PathBuf,
    /// The first transaction of each file, by its last.
    files: BTreeMap<Txid, Txid>,
}

/// An LTX file, all of which was read and found whole.
#[derive(Debug)]
pub(super) struct Verified {
    path: PathBuf,
    pub(super) file: Handle,
    /// Bytes of the file.
    pub(super) len: u64,
    pub(super) received: Received,
}

/// An open LTX file.
#[derive(Debug)]
pub(super) struct Handle(fs::File);

impl LtxDirectory {
    /// Looks which files there are. Others than LTX files are leftovers, and no matter.
    pub(super) fn list(path: &Path) -> Result<Self, TakeoverError> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(path).map_err(TakeoverError::at(path))? {
            let name = entry.map_err(TakeoverError::at(path))?.file_name();
            if let Some((min, max)) = name.to_str().and_then(ltx::parse_file_name) {
                // Of two that end alike, the one with fewer transactions is what a replica can use.
                let known = files.entry(max).or_insert(min);
                *known = min.max(*known);
            }
        }
        Ok(Self { path: path.to_path_buf(), files })
    }

    /// The file with the last transaction, which says where the database is.
    pub(super) fn newest(&self) -> Option<Result<Verified, TakeoverError>> {
        let (max, min) = self.files.last_key_value()?;
        Some(self.read(*min, *max))
    }

    /// The first and last transaction of each file that leads to `newest` without a gap, oldest first, as far as a
    /// replica can follow them.
    pub(super) fn run_to(&self, newest: &Verified) -> Result<Vec<(Txid, Txid)>, TakeoverError> {
        let mut run = Vec::new();
        let mut older;
        let mut next = newest;
        while !next.is_hollow() {
            let header = &next.received.header;
            run.push((header.min_txid, header.max_txid));
            let parent = Position { txid: header.min_txid.prev(), checksum: header.pre_apply };
            let Some(min) = self.files.get(&parent.txid).filter(|_| !header.is_snapshot()) else { break };
            older = match self.read(*min, parent.txid) {
                Err(TakeoverError::Damaged { path, reason }) => {
                    tracing::warn!(path = %path.display(), reason, "an older transaction is damaged");
                    break;
                }
                other => other?,
            };
            if older.position() != parent {
                let (path, leads_to) = (older.path.display(), older.position());
                tracing::warn!(%path, %leads_to, %parent, "older transactions do not lead to the newer ones");
                break;
            }
            next = &older;
        }
        run.reverse();
        Ok(run)
    }

    /// Reads and verifies the file with these transactions.
    pub(super) fn read(&self, min: Txid, max: Txid) -> Result<Verified, TakeoverError> {
        let path = self.path.join(ltx::file_name(min, max));
        let file = fs::File::open(&path).map_err(TakeoverError::at(&path))?;
        let len = file.metadata().map_err(TakeoverError::at(&path))?.len();
        let file = Handle(file);
        let received = match inspect(&file, len) {
            Ok(received) => received,
            Err(error) if error.raw_os_error().is_some() => return Err(TakeoverError::at(&path)(error)),
            Err(error) => return Err(TakeoverError::Damaged { path, reason: error.to_string() }),
        };
        let held = (received.header.min_txid, received.header.max_txid);
        if held != (min, max) {
            let reason = format!("it holds transactions {} to {}", held.0, held.1);
            return Err(TakeoverError::Damaged { path, reason });
        }
        Ok(Verified { path, file, len, received })
    }
}

impl Verified {
    /// Where the transaction leads.
    pub(super) fn position(&self) -> Position {
        self.received.position()
    }

    /// Its pages.
    pub(super) fn pages(&self) -> impl Pages + '_ {
        LtxPages::new(&self.file, self.len)
    }

    /// The error that its content is not as it was.
    pub(super) fn damaged(&self, reason: impl Display) -> TakeoverError {
        TakeoverError::Damaged { path: self.path.clone(), reason: reason.to_string() }
    }

    /// Whether it changes the checksum without having a page. LiteFS writes such a file when a database leaves WAL
    /// mode, and nobody can apply it.
    fn is_hollow(&self) -> bool {
        let Received { header, post_apply, sums, .. } = &self.received;
        sums.is_empty() && header.commit > 0 && header.pre_apply != *post_apply
    }
}

impl ReadAt for Handle {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        self.0.read_at(buf, offset).map_err(|error| errno(&error))
    }
}
