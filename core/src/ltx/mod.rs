//! LTX files: one transaction, or a range of them, as whole pages and checksums.
//!
//! Version 1 of the format, which LiteFS 0.5 writes and reads:
//!
//! ```text
//! header    100 bytes
//! pages     per page: number (4 bytes), content; then four zero bytes; all of it one LZ4 frame if compressed
//! trailer   16 bytes
//! ```

mod compact;
mod decode_error;
mod decoder;
mod encoder;
mod file_name;
mod header;
mod input;
mod lz4_frame;
mod page_sequence;
mod reader;
mod trailer;
mod verify;

pub use compact::{CompactError, compact};
pub use decode_error::{DecodeError, Fault};
pub use decoder::{Decoder, Item};
pub use encoder::{EncodeError, Encoder};
pub use file_name::{file_name, parse_file_name};
pub use header::{Header, HeaderError};
pub use lz4_frame::{DescriptorError, Lz4FrameError, Lz4Part};
pub use page_sequence::PageSequenceError;
pub use reader::{ReadError, Reader};
pub use trailer::{PostApplyError, Trailer};
pub use verify::{Ltx, decode_all, verify};

#[cfg(test)]
mod tests;
