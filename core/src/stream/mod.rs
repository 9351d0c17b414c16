//! The replication stream between a primary and its replicas: what to send, and what to do with what arrives.

mod receiver;
mod rotation;
mod sender;

pub use receiver::{Admission, PositionMismatch, Receiver, Unappliable};
pub use sender::{Action, Sender};
