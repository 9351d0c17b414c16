//! Applies transactions of other nodes to a database that programs may have open.
//!
//! A program reads the database with an unmodified SQLite, so a transaction is applied the way SQLite itself would
//! write it: as frames of the write-ahead log and a new header of the wal-index where readers use those, else to the
//! database file under SQLite's exclusive lock. Every reader sees the state before or the state after, never a mix.
//!
//! Locks are taken through the node's own mount, where SQLite takes its locks; data is written to the backing files;
//! the kernel is then told what it must forget. What all of that is on a node, [`System`] says. The log comes first, as
//! [`receive`] has it.

mod applier;
mod backing_file;
mod change;
mod checked_pages;
mod checkpoint;
mod clock;
mod context;
mod database_lock;
mod deadline;
mod direct;
mod error;
mod file_locks;
mod index_bytes;
mod ltx_pages;
mod page_count;
mod receive;
mod shared_driver;
mod shm_lock;
mod system;
mod trouble;
mod upkeep;
mod wal_attach;
mod wal_batch;
mod wal_index;
mod wal_index_block;
mod wal_scan;
mod wal_writer;
mod write_lock;

#[cfg(test)]
mod tests;

pub use applier::Applier;
pub use backing_file::BackingFile;
pub use change::{Change, Pages, PagesError};
pub use checkpoint::Checkpoint;
pub use clock::Clock;
pub use error::{ApplyError, Lock};
pub use file_locks::{FileLocks, LockKind, LockRange};
pub use index_bytes::IndexBytes;
pub use ltx_pages::LtxPages;
pub use page_count::lacks_page_count;
pub use receive::{ReceiveError, receive};
pub use shared_driver::SharedDriver;
pub use system::{FileIdentity, System};
pub use trouble::Trouble;
pub use upkeep::{HouseKept, keep_house, publish_in_doubt};
