//! An applier in memory, beside programs of which only the locks are there.

mod database_lock;
mod memory;
mod routes;

pub(super) use memory::{Memory, MemoryIndex};
