//! The database as it was at one moment, read while it goes on.

mod error;
mod export_reader;
mod image;
mod kept_pages;
mod snapshot_reader;

pub use error::SnapshotError;
pub use export_reader::ExportReader;
pub use image::{Image, Scratch};
pub use snapshot_reader::SnapshotReader;
