//! The mount, driven by programs that know nothing of it. Needs root and `/dev/fuse`.

mod databases;
mod fixture;
mod local_files;
mod mounting;
mod names;
mod plain_databases;
mod sqlite;
