use std::io;

use litefs_core::ReadAt;
use litefs_core::database::{Inspector, Received};

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// Reads and verifies an LTX file of `len` bytes.
pub(super) fn inspect(file: &dyn ReadAt, len: u64) -> io::Result<Received> {
    let mut inspector = Inspector::default();
    let mut chunk = vec![0; CHUNK];
    let mut offset = 0;
    while offset < len {
        let want = CHUNK.min(usize::try_from(len - offset).unwrap_or(CHUNK));
        let read = file
            .read_at(offset, &mut chunk[..want])
            .map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
        if read == 0 {
            break;
        }
        inspector.feed(&chunk[..read]).map_err(io::Error::other)?;
        offset += read as u64;
    }
    inspector.finish().map_err(io::Error::other)
}
