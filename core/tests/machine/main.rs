//! The machine of a database and its log, over a disk in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod effects;
mod fixture;
mod journal;
mod out_of_turn;
mod recovery;
mod refusal;
mod repair;
mod snapshot;
mod unjournaled;
mod verify;
mod wal;
