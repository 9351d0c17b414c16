//! A primary and its replicas: what is written on one is read on the others, exactly.

mod defects;
mod disk_full;
mod files;
mod import;
mod join;
mod large;
mod readers;
mod refused_writes;
mod replication;
