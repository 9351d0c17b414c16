//! Images of a database at one moment, readable while it goes on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use litefs_core::{File, NodeId};

use super::clock::now;
use super::database::Database;
use super::real_disk::os_error;
use super::scratch::scratch_file;
use super::snapshot::{ExportReader, Image, SnapshotReader};
use crate::DatabaseFiles;
use crate::apply::RealFile;

/// How long a snapshot waits for a transaction in rollback mode to end.
const IMAGE_WAIT: Duration = Duration::from_secs(5);

impl Database {
    /// The database as it is now, as an LTX file that can be read while the database goes on.
    ///
    /// # Errors
    /// A program is in a long transaction in rollback mode, or the disk failed.
    pub fn snapshot(&self, compressed: bool, node_id: NodeId) -> io::Result<SnapshotReader> {
        SnapshotReader::new(self.image()?, compressed, node_id, now().wall_ms)
    }

    /// The database as it is now, as a database file that can be read while the database goes on.
    ///
    /// # Errors
    /// A program is in a long transaction in rollback mode, or the disk failed.
    pub fn export(&self) -> io::Result<ExportReader> {
        Ok(ExportReader::new(self.image()?))
    }

    /// Writes the database as it is now to a file of its own below `directory`, named by its position, because it is
    /// about to be replaced and has transactions that nobody else has.
    ///
    /// # Errors
    /// The copy could not be made, and is not there.
    pub fn keep_aside(&self, directory: &Path) -> io::Result<PathBuf> {
        let aside = directory.join("aside");
        fs::create_dir_all(&aside)?;
        let mut content = self.export()?;
        let position = content.position();
        let name = format!("{}@{}-{}", self.name(), position.txid, position.checksum);
        let unfinished = aside.join(format!("{name}.tmp"));
        let path = aside.join(name);
        let mut file = fs::File::create(&unfinished)?;
        io::copy(&mut content, &mut file)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        fs::File::open(&aside)?.sync_all()?;
        Ok(path)
    }

    fn image(&self) -> io::Result<Image> {
        let deadline = Instant::now() + IMAGE_WAIT;
        // While a transaction is being applied, its pages are neither those before nor those after it.
        let _applier = loop {
            match self.idle_applier() {
                Some(applier) => break applier,
                None if Instant::now() > deadline => {
                    return Err(io::Error::other(
                        "a received transaction waits for a program; try again later",
                    ));
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let mut driver = self.driver();
        // Pages of an open transaction in rollback mode are in the database file already.
        while driver.database().is_dirty() {
            drop(driver);
            if Instant::now() > deadline {
                return Err(io::Error::other(
                    "a program is in a transaction on the database; try again later",
                ));
            }
            std::thread::sleep(Duration::from_millis(2));
            driver = self.driver();
        }
        let scratch = scratch_file(&self.scratch_dir).map(RealFile::new)?;
        let existing =
            |file| self.disk.existing(file).map(|found| found.map(RealFile::from)).map_err(os_error);
        let (database, wal) = (existing(File::Database)?, existing(File::Wal)?);
        Image::take(&mut driver, database, wal, scratch).map_err(os_error)
    }
}
