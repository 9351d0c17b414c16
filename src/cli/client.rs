//! What the commands that talk to a node have in common.

use std::process::ExitCode;

use anyhow::Context;
use litefs_net::Client;

/// Where the node is.
#[derive(Debug, clap::Args)]
pub(super) struct NodeUrl {
    /// Where the HTTP API of the node is
    #[arg(long = "url", value_name = "URL", default_value = "http://localhost:20202")]
    url: String,
}

impl NodeUrl {
    /// A client of the node.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        Client::new(&self.url).context("cannot use --url")
    }
}

/// Runs one exchange with a node to its end.
pub(super) fn block_on(exchange: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(exchange)
}
