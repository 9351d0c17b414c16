//! `chmod`, `chown`, `utimensat` and `truncate`.

use std::fs::File;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fuser::TimeOrNow;
use litefs_core::Errno;
use rustix::fs::{Gid, Mode, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid};

use super::errno::of_call;
use super::file_system::FileSystem;
use super::inode::{Inode, Target};
use super::inodes::ROOT;
use super::local_dir::Place;

/// What shall change.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) len: Option<u64>,
    pub(crate) accessed: Option<TimeOrNow>,
    pub(crate) modified: Option<TimeOrNow>,
}

/// What `chmod` and the like work on: an open or regular file, or a name of anything else.
enum Subject {
    File(Arc<File>),
    Place(Place),
}

impl FileSystem {
    pub(crate) fn set_attributes(&self, number: u64, changes: &Changes) -> Result<Arc<Inode>, Errno> {
        let inode = self.inodes.get(number)?;
        if let Some(len) = changes.len {
            self.set_len(&inode, len)?;
        }
        let changes_more = changes.mode.is_some()
            || changes.uid.is_some()
            || changes.gid.is_some()
            || changes.accessed.is_some()
            || changes.modified.is_some();
        if let (true, Some(subject)) = (changes_more, self.subject(&inode)?) {
            self.change(&subject, changes)?;
        }
        Ok(inode)
    }

    /// `None` for what has no attributes of its own, where changes succeed and do nothing as in LiteFS.
    fn subject(&self, inode: &Inode) -> Result<Option<Subject>, Errno> {
        if inode.number == ROOT && !self.is_local_allowed() {
            return Ok(None);
        }
        Ok(match inode.target() {
            Target::Virtual(_) => None,
            // SQLite passes on the mode of a database that it sees as read-only.
            Target::Database(_, file)
                if file != litefs_core::File::Database && !self.databases.is_primary() =>
            {
                None
            }
            Target::Local => Some(match inode.backing() {
                Some(backing) => Subject::File(backing),
                None => Subject::Place(self.inodes.place_of(inode)?),
            }),
            Target::Database(..) | Target::Removed { .. } => Some(Subject::File(self.backing_of(inode)?)),
        })
    }

    fn change(&self, subject: &Subject, changes: &Changes) -> Result<(), Errno> {
        if changes.uid.is_some() || changes.gid.is_some() {
            match subject {
                Subject::File(file) => {
                    let (uid, gid) = (changes.uid.map(Uid::from_raw), changes.gid.map(Gid::from_raw));
                    rustix::fs::fchown(&**file, uid, gid).map_err(of_call)?;
                }
                Subject::Place(place) => self.local.set_owner(place, changes.uid, changes.gid)?,
            }
        }
        if let Some(mode) = changes.mode {
            match subject {
                Subject::File(file) => {
                    rustix::fs::fchmod(&**file, Mode::from_raw_mode(mode)).map_err(of_call)?;
                }
                Subject::Place(place) => self.local.set_mode(place, mode)?,
            }
        }
        if changes.accessed.is_some() || changes.modified.is_some() {
            let times = Timestamps {
                last_access: timespec(changes.accessed),
                last_modification: timespec(changes.modified),
            };
            match subject {
                Subject::File(file) => rustix::fs::futimens(&**file, &times).map_err(of_call)?,
                Subject::Place(place) => self.local.set_times(place, &times)?,
            }
        }
        Ok(())
    }
}

fn timespec(time: Option<TimeOrNow>) -> Timespec {
    match time {
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        Some(TimeOrNow::Now) => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        Some(TimeOrNow::SpecificTime(time)) => since_1970(time),
    }
}

/// A time as seconds and nanoseconds, the latter counted forward also before 1970.
fn since_1970(time: SystemTime) -> Timespec {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => Timespec { tv_sec: after.as_secs().cast_signed(), tv_nsec: after.subsec_nanos().into() },
        Err(before) => {
            let before = before.duration();
            let (seconds, nanos) = (before.as_secs().cast_signed(), before.subsec_nanos());
            if nanos == 0 {
                Timespec { tv_sec: -seconds, tv_nsec: 0 }
            } else {
                Timespec { tv_sec: -seconds - 1, tv_nsec: i64::from(1_000_000_000 - nanos) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_before_1970_is_a_negative_second_and_positive_nanoseconds() {
        let time = since_1970(UNIX_EPOCH - Duration::from_millis(1500));
        assert_eq!((time.tv_sec, time.tv_nsec), (-2, 500_000_000));
        assert_eq!(since_1970(UNIX_EPOCH + Duration::new(5, 7)), Timespec { tv_sec: 5, tv_nsec: 7 });
    }
}
