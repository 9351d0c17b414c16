//! What SQLite itself does to the files of a database after a crash: without a log, and without knowing checksums.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::wal_scan::{self, WalTransaction};
use crate::sqlite::journal::JournalReader;
use crate::sqlite::wal::{self, WalHeader};
use crate::{Disk, Errno, File, PageNumber, Planted, View};

/// Rolls the transaction back that the journal belongs to, whatever super-journal it names. The journal stays. Returns
/// whether there was one to roll back.
///
/// # Errors
/// What the disk answered, or what [`JournalReader::new`] says; the journal is as hot as before.
pub fn roll_back_journal<D: Disk>(disk: &D) -> Result<bool, Errno> {
    if disk.len(File::Database)?.unwrap_or(0) == 0 {
        return Ok(false);
    }
    let mut reader = JournalReader::of_database(disk)?;
    if !reader.is_hot() {
        return Ok(false);
    }
    while let Some((page, content)) = reader.next()? {
        let offset = (u64::from(page.get()) - 1) * content.len() as u64;
        disk.write_at(File::Database, offset, content)?;
    }
    disk.set_len(File::Database, reader.original_len())?;
    disk.sync(File::Database)?;
    Ok(true)
}

/// Copies everything committed in the WAL into the database file, as SQLite's checkpoint does. Nothing is synced, and
/// the WAL stays. Returns how many transactions that were.
///
/// # Errors
/// What the disk answered; the WAL has everything as before.
pub fn checkpoint_wal<D: Disk>(disk: &D) -> Result<usize, Errno> {
    let Some((header, transactions)) = wal_scan::scan(disk, Planted::default())? else { return Ok(0) };
    write_back(disk, &header, &transactions)?;
    Ok(transactions.len())
}

/// Copies the pages of a WAL's committed transactions into the database file.
pub(super) fn write_back<D: Disk>(
    disk: &D,
    header: &WalHeader,
    transactions: &[WalTransaction],
) -> Result<(), Errno> {
    let Some(last) = transactions.last() else { return Ok(()) };
    let mut latest = BTreeMap::new();
    for transaction in transactions {
        latest.extend(transaction.frames.iter().map(|(page, offset, _)| (*page, *offset)));
    }
    let mut content = alloc::vec![0; header.page_size.bytes()];
    for (page, offset) in latest.range(..=PageNumber::new(last.commit).unwrap_or(PageNumber::FIRST)) {
        disk.read_at(File::Wal, offset + wal::FRAME_HEADER_LEN as u64, &mut content)?;
        disk.write_at(File::Database, header.page_size.offset_of(*page), &content)?;
    }
    disk.set_len(File::Database, u64::from(last.commit) * u64::from(header.page_size.get()))
}

/// The name of the super-journal in the journal, if it names one and is hot.
pub(super) fn hot_super_journal<V: View>(view: &V) -> Result<Option<Vec<u8>>, Errno> {
    let reader = JournalReader::of_database(view)?;
    if reader.is_hot() { reader.super_journal() } else { Ok(None) }
}
