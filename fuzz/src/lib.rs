//! Bodies of the fuzz targets.
//!
//! Each takes any bytes and panics if a promise of the core is broken: nothing panics, what arrives in pieces reads
//! like the whole, and what was read is written so that it reads the same. The first bytes of an input may say how the
//! rest is used. Fuzzers run the bodies through `targets/`, and `tests/replay.rs` runs them over `corpus/`:
//!
//! ```text
//! cargo +nightly fuzz run --fuzz-dir fuzz/targets ltx_decode fuzz/corpus/ltx_decode
//! ```

mod journal_scan;
mod ltx_compact;
mod ltx_decode;
mod names;
mod repair;
mod stream;
mod wal_index;
mod wal_scan;

pub use journal_scan::journal_scan;
pub use ltx_compact::ltx_compact;
pub use ltx_decode::ltx_decode;
pub use names::names;
pub use stream::{chunked_body, position_map, stream_frame};
pub use wal_index::wal_index;
pub use wal_scan::wal_scan;

/// The body of a fuzz target.
pub type Body = fn(&[u8]);

/// All fuzz targets by name, which is also the name of their corpus.
pub const TARGETS: [(&str, Body); 9] = [
    ("chunked_body", chunked_body),
    ("journal_scan", journal_scan),
    ("ltx_compact", ltx_compact),
    ("ltx_decode", ltx_decode),
    ("names", names),
    ("position_map", position_map),
    ("stream_frame", stream_frame),
    ("wal_index", wal_index),
    ("wal_scan", wal_scan),
];
