//! Peers of litefs: the HTTP protocol between nodes, and leases.
//!
//! [`Server`] answers the requests of other nodes and of people about a [`Host`], the node it runs in. [`Member`] keeps
//! the node in its cluster: it finds the primary through a [`Lease`] and lets a [`Follower`] receive its transactions.
//! [`Client`] makes single requests. The protocol is that of LiteFS 0.5.

mod base_url;
mod body;
mod body_reader;
mod causes;
mod chunked;
mod client;
mod client_error;
mod connection;
mod database_status;
mod event;
mod event_lines;
mod follow;
mod header;
mod host;
mod host_error;
mod lease;
mod limits;
mod ltx_source;
mod member;
mod metrics;
mod outgoing;
mod primary_info;
mod query;
mod received_ltx;
mod reply;
mod role;
mod route;
mod server;
mod stall_guard;
mod status;
mod stop;
mod subscriber;
mod subscribers;
mod timestamp;
mod verifier;

pub use base_url::{BaseUrl, InvalidUrl};
pub use client::{Client, NodeInfo, PrimaryHostname};
pub use client_error::ClientError;
pub use database_status::{DatabaseCounts, DatabaseStatus};
pub use event::Event;
pub use event_lines::EventLines;
pub use follow::{FollowEnd, FollowError, Follower, StreamError};
pub use host::{Export, Host, Identity, Snapshot, Standing};
pub use host_error::{ExportError, HandoffError, ImportError, ReceiveError};
pub use lease::{Found, Lease, LeaseError, StaticLease};
pub use limits::Limits;
pub use ltx_source::LtxSource;
pub use member::Member;
pub use metrics::Metrics;
pub use primary_info::PrimaryInfo;
pub use received_ltx::{ReceivedBytes, ReceivedLtx, Replaces};
pub use role::Role;
pub use server::Server;
pub use status::{DatabaseSummary, Status};
pub use stop::{Stop, Stopper};
