//! A cluster: several machines, a network between them and a lease service, with programs at work on each machine while
//! things go wrong. Afterwards all is healed, and everything must come together.

mod checks;
mod daemon;
mod databases;
mod describe;
mod followed;
mod lease_service;
mod machine;
pub mod plan;
mod run;
mod shrink;
mod verdict;
mod witness;
pub mod workload;

pub use run::{Report, run};
pub use shrink::Shrink;
