//! Tests over real processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod architecture;
mod bad_input;
mod cli;
mod cluster;
mod compat;
mod crash;
mod mount;
mod support;
