//! The network between the machines: datagrams that get lost, and on them connections that are ordered and complete as
//! long as they last.

mod connection;
mod segment;
mod stack;

pub(crate) use connection::Connection;
pub(crate) use stack::{Listener, Stack};
