//! Bodies of the fuzz targets.
//!
//! Each takes any bytes and panics if a promise of the core is broken: nothing panics, what arrives in pieces reads
//! like the whole, and what was read is written so that it reads the same. The first bytes of an input may say how the
//! rest is used. Fuzzers run the bodies through `targets/`, and `tests/replay.rs` runs them over `corpus/`:
//!
//! ```text
//! cargo +nightly fuzz run --fuzz-dir fuzz/targets ltx_decode fuzz/corpus/ltx_decode
//! ```

mod configuration;
mod journal_scan;
mod log_segments;
mod ltx_compact;
mod ltx_decode;
mod machine;
mod memory_disk;
mod names;
mod repair;
mod saved_sums;
mod stream;
mod wal_index;
mod wal_scan;

pub use configuration::configuration;
pub use journal_scan::journal_scan;
pub use log_segments::log_segments;
pub use ltx_compact::ltx_compact;
pub use ltx_decode::ltx_decode;
pub use machine::machine;
pub use names::names;
pub use saved_sums::saved_sums;
pub use stream::{chunked_body, position_map, stream_frame};
pub use wal_index::wal_index;
pub use wal_scan::wal_scan;

/// The body of a fuzz target.
pub type Body = fn(&[u8]);

/// All fuzz targets by name, which is also the name of their corpus.
pub const TARGETS: [(&str, Body); 13] = [
    ("chunked_body", chunked_body),
    ("configuration", configuration),
    ("journal_scan", journal_scan),
    ("log_segments", log_segments),
    ("ltx_compact", ltx_compact),
    ("ltx_decode", ltx_decode),
    ("machine", machine),
    ("names", names),
    ("position_map", position_map),
    ("saved_sums", saved_sums),
    ("stream_frame", stream_frame),
    ("wal_index", wal_index),
    ("wal_scan", wal_scan),
];
