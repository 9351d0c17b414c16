//! What programs do on the machines: many kinds of SQLite's operations, and what people do to files past it.

mod change;
mod content;
mod doors;
mod features;
mod files;
mod program;
mod reader;
mod reaper;
mod session;
mod step;
mod transaction;
mod upkeep;

pub(crate) use content::{head, look};
pub(crate) use doors::Doors;
pub use features::Features;
pub(crate) use program::Program;
pub(crate) use reaper::reap;
