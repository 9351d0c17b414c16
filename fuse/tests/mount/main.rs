//! The mount, driven by programs that know nothing of it. Needs root and `/dev/fuse`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod databases;
mod fixture;
mod killed;
mod local_files;
mod mounting;
mod names;
mod plain_databases;
mod sqlite;
mod stored;
