use std::io;
use std::time::Duration;

use crate::InvalidUrl;
use crate::causes::with_causes;

/// Why a request to a node failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is wrong.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// Nobody answers there.
    #[error("cannot connect to {address}: {error}")]
    Connect {
        /// The address.
        address: String,
        /// Why not.
        error: io::Error,
    },
    /// The node answered with an error.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The node stopped answering.
    #[error("{address} sent nothing for {after:?}")]
    Silent {
        /// The address.
        address: String,
        /// How long.
        after: Duration,
    },
    /// The connection broke, or what arrives there is not HTTP/2.
    #[error("connection to {address} failed: {}", with_causes(error))]
    Http {
        /// The address.
        address: String,
        /// How.
        error: hyper::Error,
    },
    /// The reply does not have the form it should have.
    #[error("{address} sent an unexpected reply: {reason}")]
    Reply {
        /// The address.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The other end of the transfer failed: a file on this machine.
    #[error(transparent)]
    Local(#[from] io::Error),
}
