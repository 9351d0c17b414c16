//! Clusters of real processes, and programs that use them.

mod cluster;
mod database;
mod http;
mod node;
mod options;
mod programs;
mod tmpfs;
mod wait;
mod writer;

pub(crate) use cluster::Cluster;
pub(crate) use database::{
    JOURNAL_MODES, assert_replicated, assert_same_bytes, await_same_position, integrity, open, query, run,
    set_mode,
};
pub(crate) use http::get;
pub(crate) use node::{Node, is_mounted};
pub(crate) use options::Options;
pub(crate) use programs::{python, sqlite3_fails, sqlite3_prints};
pub(crate) use tmpfs::Tmpfs;
pub(crate) use wait::{PATIENCE, wait_for, wait_until};
pub(crate) use writer::{Writer, assert_written};
