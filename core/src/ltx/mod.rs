//! LTX files: one transaction, or a range of them, as whole pages and checksums.
//!
//! Version 1 of the format, which LiteFS 0.5 writes and reads:
//!
//! ```text
//! header    100 bytes
//! pages     per page: number (4 bytes), content; then four zero bytes; all of it one LZ4 frame if compressed
//! trailer   16 bytes
//! ```

mod header;
mod trailer;

pub use header::{Header, HeaderError};
pub use trailer::{PostApplyError, Trailer};
