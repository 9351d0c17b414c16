//! Images of a database at one moment, readable while it goes on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use litefs_core::{File, NodeId, PageSize};

use super::clock::now;
use super::database::Database;
use super::real_disk::os_error;
use super::scratch::scratch_file;
use super::snapshot::{ExportReader, Image, KeptPages, SnapshotReader};
use crate::DatabaseFiles;

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
        let database = driver.database();
        let page_size = database.page_size().unwrap_or(PageSize::MIN);
        let scratch = scratch_file(&self.scratch_dir)?;
        let file = self.disk.existing(File::Database).map_err(os_error)?;
        let stand_in = scratch.try_clone()?;
        let kept = Arc::new(KeptPages::new(scratch, database.page_count(), page_size));
        let image = Image {
            position: driver.position(),
            page_size,
            sums: database.sums().clone(),
            frames: database.wal_frames().collect(),
            // A dropped database has no pages, so nothing is read from what stands in for it.
            database: file.unwrap_or_else(|| Arc::new(stand_in)),
            wal: self.disk.existing(File::Wal).map_err(os_error)?,
            kept: Arc::clone(&kept),
        };
        driver.add_preserver(kept);
        Ok(image)
    }
}
