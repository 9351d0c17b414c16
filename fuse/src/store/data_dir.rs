use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use litefs_core::{ClusterId, DatabaseName, InvalidClusterId};
use rustix::fs::{FlockOperation, flock};

use super::real_disk::sync_directory;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It could not be created or opened.
    #[error("cannot use data directory {path}: {source}")]
    Io {
        /// The directory or the file in it.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Another process uses it.
    #[error(
        "data directory {path} is in use by another litefs; stop that one first, or give each its own directory"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The file that names the cluster says something else.
    #[error("load cluster id: {path}: {source}")]
    ClusterId {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: InvalidClusterId,
    },
    /// Something is among the databases that is none.
    #[error("{path} is not a database directory; move it out of the data directory")]
    Foreign {
        /// What it is.
        path: PathBuf,
    },
}

/// The directory where a node keeps everything, laid out as LiteFS lays it out and locked against a second process.
///
/// ```text
/// clusterid        the cluster's id and a line feed
/// dbs/NAME/        one directory for each database
/// local/root/      files of the mount that are not databases
/// ```
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The directory itself, locked for as long as the node runs.
    lock: fs::File,
}

impl Drop for DataDir {
    /// A process that was just forked off, and has not begun its own program yet, has the file open too.
    fn drop(&mut self) {
        if let Err(error) = flock(&self.lock, FlockOperation::Unlock) {
            tracing::warn!("cannot unlock {}: {error}", self.path.display());
        }
    }
}

impl DataDir {
    /// Creates the directory if need be and locks it.
    ///
    /// # Errors
    /// It cannot be used; nothing in it was changed.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |source| DataDirError::Io { path, source }
        };
        fs::create_dir_all(path).map_err(at(path))?;
        // Modes inside are those the files have in the mount, where everybody may create files; around the mount
        // nobody may.
        for directory in [path.join("dbs"), path.join("local")] {
            fs::create_dir_all(&directory).map_err(at(&directory))?;
            fs::set_permissions(&directory, Permissions::from_mode(0o700)).map_err(at(&directory))?;
        }
        let root = path.join("local/root");
        if !root.exists() {
            fs::create_dir(&root).map_err(at(&root))?;
            fs::set_permissions(&root, Permissions::from_mode(0o777)).map_err(at(&root))?;
        }
        let lock = fs::File::open(path).map_err(at(path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(DataDirError::InUse { path: path.to_path_buf() });
            }
            Err(error) => return Err(DataDirError::Io { path: path.to_path_buf(), source: error.into() }),
        }
        // Older versions of LiteFS kept the node's id here.
        let _ = fs::remove_file(path.join("id"));
        let probe = path.join("clusterid.tmp");
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(at(&probe))?;
        Ok(Self { path: path.to_path_buf(), lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where files are that are not databases.
    pub fn local_dir(&self) -> PathBuf {
        self.path.join("local/root")
    }

    /// Where a database is.
    pub fn database_dir(&self, name: &DatabaseName) -> PathBuf {
        self.path.join("dbs").join(name.as_str())
    }

    /// The names of all databases, in byte order.
    ///
    /// # Errors
    /// The directory cannot be read, or holds something that is not a database.
    pub fn database_names(&self) -> Result<Vec<DatabaseName>, DataDirError> {
        let directory = self.path.join("dbs");
        let at = |source| DataDirError::Io { path: directory.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).map_err(at)? {
            let entry = entry.map_err(at)?;
            let name = entry.file_name().to_str().and_then(|name| name.parse::<DatabaseName>().ok());
            match name {
                Some(name) if entry.path().is_dir() => names.push(name),
                _ => return Err(DataDirError::Foreign { path: entry.path() }),
            }
        }
        names.sort();
        Ok(names)
    }

    /// The cluster this directory belongs to, if it was in one.
    ///
    /// # Errors
    /// The file is unreadable or says something else.
    pub fn cluster_id(&self) -> Result<Option<ClusterId>, DataDirError> {
        let path = self.path.join("clusterid");
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(id) => Ok(Some(id)),
                Err(source) => Err(DataDirError::ClusterId { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataDirError::Io { path, source }),
        }
    }

    /// Remembers durably which cluster this directory belongs to.
    ///
    /// # Errors
    /// What the system answered; the older id stays.
    pub fn set_cluster_id(&self, id: ClusterId) -> io::Result<()> {
        let new = self.path.join("clusterid.tmp");
        let mut file = fs::File::create(&new)?;
        writeln!(file, "{id}")?;
        file.sync_all()?;
        fs::rename(&new, self.path.join("clusterid"))?;
        fs::File::open(&self.path)?.sync_all()
    }

    /// Creates the directory of a database.
    ///
    /// # Errors
    /// What the system answered.
    pub fn create_database_dir(&self, name: &DatabaseName) -> io::Result<PathBuf> {
        let path = self.database_dir(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        sync_directory(&self.path.join("dbs")).map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_is_free_again_although_a_process_that_was_forked_off_has_it_open() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(DataDirError::InUse { .. })));
        let _inherited = data_dir.lock.try_clone().unwrap();
        drop(data_dir);
        DataDir::open(dir.path()).unwrap();
    }
}
