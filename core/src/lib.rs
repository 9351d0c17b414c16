//! Formats and state machines of litefs.
//!
//! Nothing here does I/O, reads a clock, draws a random number or starts a thread: what happens arrives as an
//! argument, `now` included, and what must change on disk leaves as data. Only [`apply`] talks with the world while it
//! works, and what it may ask there is a trait. The same code therefore runs under the kernel and under the simulator.
//! `no_std` makes that a compile error to break.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod apply;
mod bytes;
mod checksum;
mod cluster_id;
pub mod database;
mod database_name;
mod disk;
pub mod drive;
mod errno;
mod hex;
pub mod log;
pub mod ltx;
mod mistake;
pub mod node;
mod node_id;
mod now;
mod page_number;
mod page_size;
mod page_sums;
mod position;
mod read_at;
mod saved_sums;
pub mod snapshot;
pub mod sqlite;
pub mod stream;
mod transaction;
mod txid;
mod write_at;

pub use checksum::{Checksum, ChecksumHasher, InvalidChecksum};
pub use cluster_id::{ClusterId, InvalidClusterId};
pub use database_name::{DatabaseName, InvalidDatabaseName};
pub(crate) use disk::FileView;
pub use disk::{Disk, File, View};
pub use errno::Errno;
pub use hex::InvalidHex;
pub use mistake::{Mistake, Planted};
pub use node_id::{InvalidNodeId, NodeId};
pub use now::Now;
pub use page_number::PageNumber;
pub use page_size::{InvalidPageSize, PageSize};
pub use page_sums::PageSums;
pub use position::{InvalidPosition, Position};
pub use read_at::ReadAt;
pub use saved_sums::SavedSums;
pub use transaction::{PageSource, Transaction};
pub use txid::{InvalidTxid, Txid};
pub use write_at::WriteAt;
