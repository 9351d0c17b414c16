//! The simulator of litefs: real SQLite on the machine of `litefs-core`, over a disk that loses what was not synced,
//! in virtual time. One seed means one run, to the last write.

#[cfg(all(feature = "sim", not(madsim)))]
compile_error!(
    "feature `sim` needs `--cfg madsim`: run cargo inside the repository and unset RUSTFLAGS, or add `--cfg madsim` to it"
);

#[cfg(feature = "sim")]
mod checker;
#[cfg(feature = "sim")]
mod client;
#[cfg(feature = "sim")]
mod content;
#[cfg(feature = "sim")]
mod content_check;
#[cfg(feature = "sim")]
mod coroutine;
#[cfg(feature = "sim")]
mod database;
#[cfg(feature = "sim")]
mod database_disk;
#[cfg(feature = "sim")]
mod engine;
#[cfg(feature = "sim")]
mod faults;
#[cfg(feature = "sim")]
mod handle;
#[cfg(feature = "sim")]
mod history;
#[cfg(feature = "sim")]
mod locks;
#[cfg(feature = "sim")]
mod machine_disk;
#[cfg(feature = "sim")]
mod node;
#[cfg(feature = "sim")]
pub mod plan;
#[cfg(feature = "sim")]
mod record;
#[cfg(feature = "sim")]
mod replay;
#[cfg(feature = "sim")]
mod rng;
#[cfg(feature = "sim")]
mod rt;
#[cfg(feature = "sim")]
pub mod run;
#[cfg(feature = "sim")]
mod shm;
#[cfg(feature = "sim")]
mod trace;
#[cfg(feature = "sim")]
mod unsynced_file;
#[cfg(feature = "sim")]
mod vfs;
#[cfg(feature = "sim")]
mod world;

#[cfg(feature = "sim")]
pub use trace::TraceHash;
