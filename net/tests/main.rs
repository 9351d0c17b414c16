//! The network side over loopback, around a host that keeps its databases in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod api;
mod fake_host;
mod fake_lease;
mod follow;
mod hostile;
mod leases;
mod node;
mod recorded;
mod recorder;
mod slow;
mod stream;
