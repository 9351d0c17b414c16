//! Taking over a database as LiteFS left it.
//!
//! LiteFS 0.5 keeps each transaction as a file in `ltx/`, and the newest of them says where the database is. It is
//! verified, the database is brought to it as LiteFS does at a start, its page checksums are computed, and the files
//! that lead up to it become the log, so that replicas can go on where they are.
//!
//! Until the new log gets its name, nothing has happened that LiteFS would not do itself. `ltx/` goes last, and whoever
//! finds it begins anew, so a crash at any step changes nothing. It is not removed but renamed to `ltx.taken-over`, for
//! the transactions in it that the log did not take and for a way back as long as nothing was written; whoever needs
//! neither may delete it.

mod error;
mod ltx_directory;

use std::fs::{self, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use litefs_core::apply::Pages;
use litefs_core::drive::{checkpoint_wal, roll_back_journal};
use litefs_core::log::Log;
use litefs_core::sqlite::wal;
use litefs_core::{Checksum, Disk, Errno, File, PageNumber, PageSums, Position, SavedSums, Txid, View};

pub use error::TakeoverError;

use super::real_disk::{RealDisk, sync_directory};
use ltx_directory::{LtxDirectory, Verified};

/// What is read of the database file at once, in bytes.
const READ_LEN: usize = 1 << 20;

/// What was found and taken over.
#[derive(Debug)]
pub(super) struct TakenOver {
    /// Where the database is.
    pub(super) position: Position,
    /// The oldest transaction that the log has now. None if not even the newest can be sent to a peer.
    pub(super) first: Option<Txid>,
    /// Pages that LiteFS never sent to anybody.
    pub(super) absent: usize,
    /// Where the files are that LiteFS kept.
    pub(super) kept: PathBuf,
}

/// Takes over the database in `directory`, if LiteFS left one there. The log gets segments of about `segment_len_max`
/// bytes.
///
/// # Errors
/// It cannot be used as it is; nothing was thrown away.
pub(super) fn take_over(directory: &Path, segment_len_max: u64) -> Result<Option<TakenOver>, TakeoverError> {
    let source = directory.join("ltx");
    if !source.is_dir() {
        return Ok(None);
    }
    let disk = RealDisk::new(directory.to_path_buf());
    let files = LtxDirectory::list(&source)?;
    let Some(newest) = files.newest() else {
        // Never written to, or not by LiteFS: the database file is all there is.
        put_aside(directory, &source)?;
        return Ok(None);
    };
    let newest = newest?;
    let position = newest.position();
    if Log::open(&disk, segment_len_max, Txid::new(u64::MAX))?.log.end() == position {
        put_aside(directory, &source)?;
        return Ok(None);
    }
    settle_files(&disk, &newest)?;
    let sums = checked_sums(&disk, &newest)?;
    let page_size = newest.received.header.page_size;
    let absent = sums.absent(page_size).count();
    let run = files.run_to(&newest)?;
    write_log(directory, &files, &run, segment_len_max)?;
    save_sums(&disk, SavedSums { page_size, base: position, position, sums })?;
    name_log(directory)?;
    let kept = put_aside(directory, &source)?;
    Ok(Some(TakenOver { position, first: run.first().map(|(min, _)| *min), absent, kept }))
}

/// Brings the database file to the newest transaction, as LiteFS does it, and leaves no journal and no WAL.
fn settle_files(disk: &RealDisk, newest: &Verified) -> Result<(), TakeoverError> {
    let header = &newest.received.header;
    cut_wal(disk, header.wal_salt, header.wal_offset + header.wal_size)?;
    roll_back_journal(disk)?;
    checkpoint_wal(disk)?;
    if header.commit == 0 {
        disk.remove(File::Database)?;
    } else {
        let mut pages = newest.pages();
        while let Some((page, content)) = pages.next_page().map_err(|error| newest.damaged(error))? {
            disk.write_at(File::Database, header.page_size.offset_of(page), content)?;
        }
        disk.set_len(File::Database, u64::from(header.commit) * u64::from(header.page_size.get()))?;
        disk.sync(File::Database)?;
        // Everybody may write in the mount of LiteFS, whatever the mode of its own file.
        let path = disk.path(File::Database);
        fs::set_permissions(&path, Permissions::from_mode(0o666)).map_err(TakeoverError::at(&path))?;
    }
    for file in [File::Journal, File::Wal, File::Shm, File::Unjournaled] {
        disk.remove(file)?;
    }
    Ok(disk.sync_directory()?)
}

/// Leaves of the WAL what LiteFS had made transactions of: up to `end` bytes of the one with these salts. It answers a
/// commit only after that.
fn cut_wal(disk: &RealDisk, salt: [u32; 2], end: u64) -> Result<(), TakeoverError> {
    let mut head = [0; wal::HEADER_LEN];
    if disk.read_at(File::Wal, 0, &mut head)? < head.len() {
        return Ok(());
    }
    let field = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if [field(16), field(20)] != salt {
        let (from, to) = (disk.path(File::Wal), disk.directory().join("wal.removed"));
        tracing::warn!(wal = %to.display(), "the WAL is not that of the newest transaction; it is put aside");
        disk.forget(File::Wal);
        return fs::rename(&from, &to).map_err(TakeoverError::at(&from));
    }
    if disk.len(File::Wal)?.is_some_and(|len| len > end) {
        disk.set_len(File::Wal, end)?;
        disk.sync(File::Wal)?;
    }
    Ok(())
}

/// The checksums of all pages, which must add up to that of the newest transaction.
fn checked_sums(disk: &RealDisk, newest: &Verified) -> Result<PageSums, TakeoverError> {
    let header = &newest.received.header;
    let mut sums = PageSums::default();
    sums.resize(header.commit);
    if header.commit > 0 {
        let path = disk.path(File::Database);
        let file = fs::File::open(&path).map_err(TakeoverError::at(&path))?;
        let mut reader = BufReader::with_capacity(READ_LEN, file);
        let mut content = vec![0; header.page_size.bytes()];
        for page in (1..=header.commit).filter_map(PageNumber::new) {
            reader.read_exact(&mut content).map_err(TakeoverError::at(&path))?;
            if page != header.page_size.lock_page() {
                sums.set(page, Checksum::of_page(page, &content));
            }
        }
    }
    let expected = newest.position();
    if sums.total() == expected.checksum {
        return Ok(sums);
    }
    // A page that was allocated and given up within one transaction counts nothing for LiteFS. It is a hole.
    let present = sums.without_zero_pages(header.page_size);
    if present.total() == expected.checksum {
        return Ok(present);
    }
    Err(TakeoverError::Mismatch { expected, found: sums.total() })
}

/// Where the log is until it is whole.
fn staging(directory: &Path) -> PathBuf {
    directory.join("takeover")
}

fn write_log(
    directory: &Path,
    files: &LtxDirectory,
    run: &[(Txid, Txid)],
    segment_len_max: u64,
) -> Result<(), TakeoverError> {
    let staging = staging(directory);
    remove_directory(&staging)?;
    let log = staging.join("log");
    fs::create_dir_all(&log).map_err(TakeoverError::at(&log))?;
    let disk = RealDisk::new(staging);
    let mut log = Log::new(segment_len_max);
    for (min, max) in run {
        let Verified { received, file, len, .. } = files.read(*min, *max)?;
        log.append_received(&disk, &received.header, received.post_apply, &file, len)?;
    }
    log.sync(&disk)?;
    Ok(disk.sync_directory()?)
}

fn save_sums(disk: &RealDisk, saved: SavedSums) -> Result<(), Errno> {
    if saved.sums.page_count() == 0 {
        return disk.remove(File::Sums);
    }
    disk.set_len(File::SumsNew, 0)?;
    disk.write_at(File::SumsNew, 0, &saved.encode())?;
    disk.sync(File::SumsNew)?;
    disk.rename(File::SumsNew, File::Sums)
}

/// Gives the new log its name. If there is one already, LiteFS has been at work here since it was written.
fn name_log(directory: &Path) -> Result<(), TakeoverError> {
    let (staging, log) = (staging(directory), directory.join("log"));
    if log.exists() {
        let replaced = directory.join("log.replaced");
        remove_directory(&replaced)?;
        fs::rename(&log, &replaced).map_err(TakeoverError::at(&log))?;
        tracing::warn!(log = %replaced.display(), "LiteFS has gone on with the database; the older log is put aside");
    }
    fs::rename(staging.join("log"), &log).map_err(TakeoverError::at(&log))?;
    remove_directory(&staging)?;
    Ok(sync_directory(directory)?)
}

/// Ends the takeover: `ltx/` gets another name. Returns it.
fn put_aside(directory: &Path, source: &Path) -> Result<PathBuf, TakeoverError> {
    let kept = directory.join("ltx.taken-over");
    remove_directory(&kept)?;
    fs::rename(source, &kept).map_err(TakeoverError::at(source))?;
    // Of a database that was never written to there is nothing to keep.
    match fs::remove_dir(&kept) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
            return Err(TakeoverError::at(&kept)(error));
        }
        _ => {}
    }
    sync_directory(directory)?;
    Ok(kept)
}

fn remove_directory(path: &Path) -> Result<(), TakeoverError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(TakeoverError::at(path)(error)),
        _ => Ok(()),
    }
}
