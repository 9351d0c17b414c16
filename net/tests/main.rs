//! The network side over loopback, around a host that keeps its databases in memory.

mod api;
mod fake_host;
mod follow;
mod hostile;
mod leases;
mod node;
mod slow;
mod stream;
