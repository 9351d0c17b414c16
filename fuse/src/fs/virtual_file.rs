//! The files made up by the daemon.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo};
use litefs_core::{DatabaseName, Errno};

use super::inode::VirtualName;
use super::local_dir::Owner;
use crate::databases::Databases;

/// Longest text of a lag: a sign, nine digits at least, and a line end.
const LAG_LEN: u64 = 11;
/// Length of a position and a line end.
const POSITION_LEN: u64 = 34;

impl VirtualName {
    /// What a program reads. Not cached by the kernel, so it is true at every open.
    pub(crate) fn content(&self, databases: &dyn Databases) -> Result<Vec<u8>, Errno> {
        let text = match self {
            Self::Primary => format!("{}\n", databases.primary_hostname().ok_or(Errno::ENOENT)?),
            Self::Lag => format!("{:+010}\n", databases.lag_ms()),
            Self::Position(name) => {
                format!("{}\n", databases.database(name).ok_or(Errno::ENOENT)?.position())
            }
            Self::HaltLock(_) => String::new(),
        };
        Ok(text.into_bytes())
    }

    /// What `stat` says.
    pub(crate) fn attributes(
        &self,
        number: u64,
        databases: &dyn Databases,
        started: SystemTime,
        owner: Owner,
    ) -> Result<FileAttr, Errno> {
        let (size, perm, changed) = match self {
            Self::Primary => (self.content(databases)?.len() as u64, 0o444, started),
            Self::Lag => (LAG_LEN, 0o444, lag_time(databases.lag_ms())),
            Self::Position(name) => (POSITION_LEN, 0o666, last_commit(name, databases)?),
            // Modes are enforced here, unlike in LiteFS, and who may halt must be able to open it for writing.
            Self::HaltLock(name) => {
                databases.database(name).ok_or(Errno::ENOENT)?;
                (0, 0o666, started)
            }
        };
        Ok(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: 0,
            atime: changed,
            mtime: changed,
            ctime: changed,
            crtime: UNIX_EPOCH,
            kind: FileType::RegularFile,
            perm,
            nlink: 1,
            uid: owner.uid,
            gid: owner.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

/// When the node was last known to have everything; 1970 if it never was.
fn lag_time(lag_ms: i64) -> SystemTime {
    if lag_ms >= i64::from(i32::MAX) {
        return UNIX_EPOCH;
    }
    let lag = Duration::from_millis(u64::try_from(lag_ms).unwrap_or(0));
    SystemTime::now().checked_sub(lag).unwrap_or(UNIX_EPOCH)
}

fn last_commit(name: &DatabaseName, databases: &dyn Databases) -> Result<SystemTime, Errno> {
    let timestamp = databases.database(name).ok_or(Errno::ENOENT)?.timestamp_ms();
    Ok(UNIX_EPOCH + Duration::from_millis(u64::try_from(timestamp).unwrap_or(0)))
}
