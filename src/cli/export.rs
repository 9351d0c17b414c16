use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use litefs_core::DatabaseName;
use litefs_net::{Client, ClientError};

use super::client::{NodeUrl, block_on};
use super::parent;
use super::progress::Progress;

const NOT_FOUND: u16 = 404;

/// Writes a database to a SQLite file
///
/// A file that is there already is replaced once all of the database has arrived.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    node: NodeUrl,

    /// The name of the database in the mount
    #[arg(long, value_name = "NAME")]
    name: DatabaseName,

    /// The SQLite file to write
    path: PathBuf,
}

impl Export {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let client = self.node.client()?;
        let started = Instant::now();
        block_on(async {
            let temporary = beside(&self.path, ".tmp");
            let exported = download(&client, &self.name, &temporary).await;
            let exported = exported.and_then(|()| publish(&temporary, &self.path));
            if exported.is_err() {
                // What has arrived is of no use; the error that matters is the first one.
                let _ = fs::remove_file(&temporary);
            }
            exported?;
            println!("Export of database \"{}\" in {:?}", self.name, started.elapsed());
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// Writes the database to `path` and waits until it is on the disk.
async fn download(client: &Client, name: &DatabaseName, path: &Path) -> anyhow::Result<()> {
    let mut file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let progress = Progress::new(None);
    match client.export(name, &mut file, |received, total| progress.update(received, total)).await {
        Ok(_) => {}
        Err(ClientError::Refused { status: NOT_FOUND, .. }) => anyhow::bail!("database not found: {name}"),
        Err(error) => return Err(error.into()),
    }
    file.sync_all().with_context(|| format!("cannot sync {}", path.display()))
}

/// Puts `temporary` in the place of `path`.
///
/// A journal or WAL that belongs to the old file goes first: SQLite would apply it to the new one.
fn publish(temporary: &Path, path: &Path) -> anyhow::Result<()> {
    for suffix in ["-journal", "-wal", "-shm"] {
        let leftover = beside(path, suffix);
        match fs::remove_file(&leftover) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot remove {}", leftover.display()));
            }
        }
    }
    fs::rename(temporary, path).with_context(|| format!("cannot replace {}", path.display()))?;
    let directory = parent(path);
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .with_context(|| format!("cannot sync {}", directory.display()))
}

/// The path with something added to its file name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_the_old_file_are_removed_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        for suffix in ["", "-journal", "-wal", "-shm"] {
            fs::write(beside(&path, suffix), "old").unwrap();
        }
        fs::write(beside(&path, ".tmp"), "new").unwrap();
        publish(&beside(&path, ".tmp"), &path).unwrap();
        let names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["app.db"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }
}
