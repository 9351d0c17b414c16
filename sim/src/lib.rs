//! The simulator of litefs: real SQLite on the machine of `litefs-core`, over a disk that loses what was not synced,
//! in virtual time. One seed means one run, to the last write.
//!
//! A [`plan`] says everything about a run before it starts; [`run`] carries it out and reports what was broken.

#![cfg(feature = "sim")]

#[cfg(not(madsim))]
compile_error!(
    "feature `sim` needs `--cfg madsim`: run cargo inside the repository and unset RUSTFLAGS, or add `--cfg madsim` to it"
);

mod checker;
mod client;
pub mod cluster;
mod content;
mod content_check;
mod coroutine;
mod database;
mod database_disk;
mod engine;
mod faults;
mod handle;
mod history;
mod locks;
mod machine_disk;
mod network;
mod node;
pub mod plan;
pub mod planted;
mod record;
mod replay;
mod rng;
mod rt;
pub mod run;
mod shm;
mod signal;
mod step;
mod system;
mod trace;
mod unsynced_file;
mod vfs;
mod world;

pub use step::Step;
pub use trace::{Entry, Keep, TraceHash};
