use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// One LTX file inside a file of the log.
#[derive(Clone, Debug)]
pub struct LtxSource {
    /// The file of the log. It stays readable while this is held, also after the log removed it.
    pub file: Arc<File>,
    /// Where the LTX file begins, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl LtxSource {
    /// Fills `into` from `position` bytes into the LTX file. Blocks. The caller stays within `len`.
    pub(crate) fn read_exact_at(&self, into: &mut [u8], position: u64) -> io::Result<()> {
        self.file.read_exact_at(into, self.offset + position)
    }
}
