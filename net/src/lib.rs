//! Peers of litefs: the HTTP protocol between nodes, and leases.
//!
//! [`Server`] answers the requests of other nodes and of people about a [`Host`], the node it runs in. [`Member`] keeps
//! the node in its cluster: it runs the machine of the node, [`litefs_core::node::Node`], which decides who is followed
//! and what is sent to whom, over a [`Lease`], the streams and the host. [`Client`] makes single requests. The protocol is
//! that of LiteFS 0.5.

mod base_url;
mod body;
mod body_reader;
mod causes;
mod client;
mod client_error;
mod connection;
mod database_status;
mod downstream;
mod event;
mod event_lines;
mod header;
mod host;
mod host_error;
mod lease;
mod limits;
mod ltx_source;
mod member;
mod metrics;
mod query;
mod received_ltx;
mod reply;
mod route;
mod server;
mod stall_guard;
mod status;
mod stop;
mod subscribers;
mod timestamp;
mod upstream;
mod verifier;

pub use litefs_core::node::{PrimaryInfo, Replaces, Role};

pub use base_url::{BaseUrl, InvalidUrl};
pub use client::{Client, NodeInfo, PrimaryHostname};
pub use client_error::ClientError;
pub use database_status::{DatabaseCounts, DatabaseStatus};
pub use event::Event;
pub use event_lines::EventLines;
pub use host::{Export, Host, Identity, Snapshot, Standing};
pub use host_error::{ExportError, HandoffError, ImportError, ReceiveError};
pub use lease::{Lease, LeaseError, StaticLease};
pub use limits::Limits;
pub use ltx_source::LtxSource;
pub use member::{Inbox, Member};
pub use metrics::Metrics;
pub use received_ltx::{ReceivedBytes, ReceivedLtx};
pub use server::Server;
pub use status::{DatabaseSummary, Status};
pub use stop::{Stop, Stopper};
