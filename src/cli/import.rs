use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use litefs_core::DatabaseName;

use super::client::{NodeUrl, block_on};
use super::progress::Progress;

/// Replaces a database by a SQLite file, or creates it
///
/// The file is sent to the primary, and becomes one transaction. Nothing changes unless all of it arrives.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    #[command(flatten)]
    node: NodeUrl,

    /// The name of the database in the mount
    #[arg(long, value_name = "NAME")]
    name: DatabaseName,

    /// The SQLite file to read
    path: PathBuf,
}

impl Import {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let client = self.node.client()?;
        let path = &self.path;
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let metadata = file.metadata().with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::ensure!(!metadata.is_dir(), "cannot import {}: it is a directory", path.display());
        // A pipe has no size.
        let len = metadata.is_file().then_some(metadata.len());
        let started = Instant::now();
        block_on(async {
            let progress = Progress::new(len);
            client.import(&self.name, file, len, move |sent| progress.update(sent, len)).await?;
            println!("Import of database \"{}\" in {:?}", self.name, started.elapsed());
            Ok(ExitCode::SUCCESS)
        })
    }
}
