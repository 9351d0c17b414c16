//! What is left after the process died at any point: the files as they are, opened again.

use litefs_core::database::Request;
use litefs_core::drive::Driver;
use litefs_core::log::Retention;
use litefs_core::{Disk, Errno, File, Now, Txid};

use crate::fixture::{
    MemoryDisk, NOW, WalWriter, checksum, commit_delete, filled, first_page, open, wal_database, write,
};

#[test]
fn transactions_that_only_the_wal_has_are_captured() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(5)).unwrap();
    driver.append_pending().unwrap();
    wal.write(&mut driver, 2, 2, &filled(6)).unwrap();
    wal.write(&mut driver, 2, 2, &filled(7)).unwrap();
    let position = driver.position();
    let (reopened, recovered) = open(&disk.fork());
    assert_eq!(reopened.position(), position);
    assert_eq!(recovered.captured, 2);
    assert_eq!(reopened.disk().content(File::Database).unwrap()[512..1024], filled(7));
    assert_eq!(reopened.disk().content(File::Wal), None);
}

#[test]
fn transactions_that_only_the_log_has_are_redone() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(5)).unwrap();
    driver.append_pending().unwrap();
    let position = driver.position();
    let fork = disk.fork();
    fork.replace(File::Wal, Vec::new());
    let (reopened, recovered) = open(&fork);
    assert_eq!((reopened.position(), recovered.captured), (position, 0));
    assert_eq!(fork.content(File::Database).unwrap()[512..1024], filled(5));
}

#[test]
fn hot_journal_does_not_undo_a_transaction_that_is_in_the_log() {
    // The process died after the log had the transaction and before the journal was removed.
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    commit_delete(&mut driver, &[(1, first_page(2, false, 1)), (2, filled(1))]).unwrap();
    let position = commit_delete(&mut driver, &[(1, first_page(2, false, 2)), (2, filled(2))]).unwrap();
    let fork = disk.fork();
    fork.replace(File::Journal, journal_of(&[(1, first_page(2, false, 1)), (2, filled(1))], 2));
    let (reopened, recovered) = open(&fork);
    assert!(recovered.rolled_back);
    assert_eq!(reopened.position(), position);
    assert_eq!(fork.content(File::Database).unwrap()[512..], filled(2));
    assert_eq!(fork.content(File::Journal), None);
}

#[test]
fn incomplete_end_of_the_log_is_cut_off() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(5)).unwrap();
    driver.append_pending().unwrap();
    let whole = disk.content(File::Segment(1)).unwrap();
    wal.write(&mut driver, 2, 2, &filled(6)).unwrap();
    driver.append_pending().unwrap();
    let position = driver.position();
    let longer = disk.content(File::Segment(1)).unwrap();
    for len in whole.len() + 1..longer.len() {
        let fork = disk.fork();
        fork.replace(File::Segment(1), longer[..len].to_vec());
        let (reopened, recovered) = open(&fork);
        assert_eq!(recovered.trimmed, (len - whole.len()) as u64);
        // The WAL still has it.
        assert_eq!((reopened.position(), recovered.captured), (position, 1), "cut to {len} bytes");
    }
}

#[test]
fn log_that_lost_what_was_durable_costs_nothing_that_is_in_the_database() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    for change in 1..=5_u8 {
        commit_delete(&mut driver, &[(1, first_page(2, false, change.into())), (2, filled(change))]).unwrap();
    }
    driver.close().unwrap();
    let position = driver.position();
    let segment = disk.content(File::Segment(1)).unwrap();
    let database = disk.content(File::Database);
    // From the first entry's end on; where not even that is left, the log is like new.
    for len in 300..segment.len() {
        let cut = disk.fork();
        cut.replace(File::Segment(1), segment[..len].to_vec());
        let flipped = disk.fork();
        let mut bytes = segment.clone();
        bytes[len] ^= 1;
        flipped.replace(File::Segment(1), bytes);
        for fork in [cut, flipped] {
            let (mut reopened, _) = open(&fork);
            assert_eq!(
                (reopened.position(), fork.content(File::Database)),
                (position, database.clone()),
                "{len}"
            );
            // And it goes on from there, also after another start.
            let after =
                commit_delete(&mut reopened, &[(1, first_page(2, false, 6)), (2, filled(6))]).unwrap();
            assert_eq!(after.txid, position.txid.next());
            drop(reopened);
            assert_eq!(open(&fork.fork()).0.position(), after, "{len}");
        }
    }
}

#[test]
fn recovery_is_idempotent() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(5)).unwrap();
    let first = disk.fork();
    let (once, _) = open(&first);
    let files: Vec<_> = first.files().into_iter().map(|file| first.content(file)).collect();
    let (twice, recovered) = open(&first);
    assert_eq!(once.position(), twice.position());
    assert_eq!((recovered.captured, recovered.redone), (0, 0));
    assert_eq!(files, first.files().into_iter().map(|file| first.content(file)).collect::<Vec<_>>());
}

#[test]
fn truncated_database_file_is_refused() {
    let (disk, mut driver, _) = wal_database();
    driver.request(Request::Remove(File::Wal), NOW).unwrap();
    driver.close().unwrap();
    let fork = disk.fork();
    fork.replace(File::Database, first_page(2, true, 1));
    let error = Driver::open(fork, crate::fixture::options(), 1 << 20, &|_| false, NOW).unwrap_err();
    assert!(error.to_string().contains("lacks page 2"), "{error}");
}

#[test]
fn database_without_any_log_is_taken_over_as_one_transaction() {
    let disk = MemoryDisk::default();
    let content = [first_page(2, false, 5), filled(9)];
    disk.replace(File::Database, content.concat());
    let (driver, recovered) = open(&disk);
    assert!(recovered.adopted);
    assert_eq!((driver.position().txid, driver.position().checksum), (Txid::new(1), checksum(&content)));
}

#[test]
fn writes_without_a_journal_are_captured_when_the_file_is_closed_and_after_a_crash() {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    commit_delete(&mut driver, &[(1, first_page(2, false, 1)), (2, filled(1))]).unwrap();
    write(&mut driver, File::Database, 512 + 7, b"hello").unwrap();
    let fork = disk.fork();
    driver.request(Request::Closed, NOW).unwrap();
    let mut changed = filled(1);
    changed[7..12].copy_from_slice(b"hello");
    let expected = checksum(&[first_page(2, false, 1), changed]);
    assert_eq!((driver.position().txid, driver.position().checksum), (Txid::new(2), expected));
    let (reopened, recovered) = open(&fork);
    assert!(recovered.adopted);
    assert_eq!(reopened.position(), driver.position());
}

#[test]
fn committed_frames_are_not_lost_when_the_wal_starts_over() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(5)).unwrap();
    // SQLite's checkpoint, past the machine.
    let mut content = disk.content(File::Database).unwrap();
    content[512..1024].copy_from_slice(&filled(5));
    disk.replace(File::Database, content);
    let mut next = WalWriter::begin_over(&mut driver, 200);
    next.write(&mut driver, 1, 2, &first_page(2, true, 3)).unwrap();
    let position = driver.position();
    let (reopened, _) = open(&disk.fork());
    assert_eq!((reopened.position(), position.txid), (position, Txid::new(3)));
}

#[test]
fn wal_with_salts_of_zero_or_with_those_of_another_one_is_captured_once() {
    let (disk, mut driver, _) = wal_database();
    driver.request(Request::Remove(File::Wal), NOW).unwrap();
    let mut wal = WalWriter::begin_with(&mut driver, [0, 0]);
    for byte in [5, 6] {
        wal.write(&mut driver, 2, 2, &filled(byte)).unwrap();
    }
    driver.append_pending().unwrap();
    let position = driver.position();
    let (reopened, recovered) = open(&disk.fork());
    assert_eq!((reopened.position(), recovered.captured), (position, 0));

    driver.request(Request::Remove(File::Wal), NOW).unwrap();
    let mut another = WalWriter::begin_with(&mut driver, [0, 0]);
    another.write(&mut driver, 2, 2, &filled(7)).unwrap();
    let position = driver.position();
    let (reopened, recovered) = open(&disk.fork());
    assert_eq!((reopened.position(), recovered.captured), (position, 1));
}

/// A rollback journal with these pages, as SQLite leaves it behind.
pub(crate) fn journal_of(pages: &[(u32, Vec<u8>)], original_pages: u32) -> Vec<u8> {
    use litefs_core::sqlite::journal;
    let mut out = vec![0; 512];
    out[..8].copy_from_slice(&journal::MAGIC);
    out[8..12].copy_from_slice(&(pages.len() as u32).to_be_bytes());
    out[12..16].copy_from_slice(&77_u32.to_be_bytes());
    out[16..20].copy_from_slice(&original_pages.to_be_bytes());
    out[20..24].copy_from_slice(&512_u32.to_be_bytes());
    out[24..28].copy_from_slice(&512_u32.to_be_bytes());
    for (number, content) in pages {
        out.extend_from_slice(&number.to_be_bytes());
        out.extend_from_slice(content);
        out.extend_from_slice(&journal::page_checksum(77, content).to_be_bytes());
    }
    out
}

#[test]
fn checkpoint_that_leaves_the_wal_in_use_moves_the_point_that_recovery_starts_from() {
    use litefs_core::sqlite::wal_index;
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(5)).unwrap();
    driver.save().unwrap();
    assert_ne!(driver.base(), driver.position());

    let header = wal_index::Header {
        change: 1,
        byte_order: litefs_core::sqlite::wal::ByteOrder::Little,
        page_size: Some(litefs_core::PageSize::MIN),
        max_frame: 1,
        page_count: 2,
        frame_checksum: litefs_core::sqlite::wal::WalChecksum::default(),
        salt: driver.database().wal_end().unwrap().0,
    }
    .encode();
    for (backfilled, moves) in [(0, false), (1, true)] {
        let index = [&header[..], &header[..], &u32::to_le_bytes(backfilled)[..]].concat();
        disk.replace(File::Shm, index);
        driver.save().unwrap();
        assert_eq!(driver.base() == driver.position(), moves, "{backfilled} of 1 frames");
    }
}

/// What is older than four seconds may go.
const RETENTION: Retention = Retention { age_ms: Some(4_000), size: None };

/// A database whose transactions are two seconds apart, saved, and when that was.
fn aged_database() -> (MemoryDisk, Driver<MemoryDisk>, Now) {
    let (disk, mut driver, mut wal) = wal_database();
    let mut later = NOW;
    for byte in 0..6 {
        wal.write(&mut driver, 2, 2, &filled(10 + byte)).unwrap();
        driver.append_pending().unwrap();
        later.wall_ms += 2_000;
        assert_eq!(driver.expire(RETENTION, later.wall_ms), Ok(0), "nothing is saved: all of it is needed");
    }
    let segments = disk.files().iter().filter(|file| matches!(file, File::Segment(_))).count();
    assert!(segments > 1, "an old segment is not appended to for ever");
    driver.request(Request::Remove(File::Wal), NOW).unwrap();
    driver.save().unwrap();
    (disk, driver, later)
}

#[test]
fn retention_gives_old_segments_up_but_never_what_recovery_needs() {
    let (disk, mut driver, mut later) = aged_database();
    later.wall_ms += 60_000;
    assert!(driver.expire(RETENTION, later.wall_ms).unwrap() > 0);
    let position = driver.position();
    let (reopened, recovered) = open(&disk.fork());
    assert_eq!((reopened.position(), recovered.captured, recovered.redone), (position, 0, 0));
}

#[test]
fn database_that_was_removed_is_recovered_though_the_log_does_not_go_back_to_its_beginning() {
    let (disk, mut driver, mut later) = aged_database();
    later.wall_ms += 60_000;
    assert!(driver.expire(RETENTION, later.wall_ms).unwrap() > 0);
    let mut wal = WalWriter::begin(&mut driver, 200);
    wal.write(&mut driver, 2, 2, &filled(20)).unwrap();
    driver.request(Request::Remove(File::Database), NOW).unwrap();
    let position = driver.position();
    let (reopened, _) = open(&disk.fork());
    assert_eq!(reopened.position(), position);
    assert_eq!(reopened.database().page_count(), 0);
    // Somebody creates it again and has not committed anything.
    driver.request(Request::Create(File::Database), NOW).unwrap();
    let (reopened, _) = open(&disk.fork());
    assert_eq!(reopened.position(), position);
}

#[test]
fn b23_segment_that_cannot_be_removed_stops_nothing() {
    let (disk, mut driver, mut later) = aged_database();
    disk.refuse("remove Segment", Errno::EIO);
    later.wall_ms += 60_000;
    assert_eq!(driver.expire(RETENTION, later.wall_ms), Err(Errno::EIO));
    disk.refuse_nothing();
    // Writing goes on, and the next start finds what stayed.
    let mut wal = WalWriter::begin(&mut driver, 200);
    wal.write(&mut driver, 2, 2, &filled(20)).unwrap();
    driver.append_pending().unwrap();
    let position = driver.position();
    let (mut reopened, _) = open(&disk.fork());
    assert_eq!(reopened.position(), position);
    assert!(reopened.expire(RETENTION, later.wall_ms).unwrap() > 0);
    // Or the next attempt, which begins with it.
    assert!(driver.expire(RETENTION, later.wall_ms).unwrap() > 1);
}

#[test]
fn saved_checksums_are_used_also_when_the_log_begins_right_after_them() {
    let (disk, mut driver, mut later) = aged_database();
    later.wall_ms += 60_000;
    driver.expire(RETENTION, later.wall_ms).unwrap();
    let mut wal = WalWriter::begin(&mut driver, 200);
    wal.write(&mut driver, 2, 2, &filled(20)).unwrap();
    driver.append_pending().unwrap();
    driver.expire(RETENTION, later.wall_ms).unwrap();
    assert_eq!(driver.log().first().unwrap().min_txid, driver.base().txid.next());
    let (reopened, recovered) = open(&disk.fork());
    assert_eq!((reopened.position(), recovered.redone), (driver.position(), 1));
    assert!(!recovered.scanned, "the checksums of pages that no transaction in the log has");
}

#[test]
fn segment_that_was_lost_is_begun_again_under_its_number() {
    let (disk, mut driver, mut later) = aged_database();
    later.wall_ms += 60_000;
    driver.expire(RETENTION, later.wall_ms).unwrap();
    let segments = |disk: &MemoryDisk| -> Vec<File> {
        disk.files().into_iter().filter(|file| matches!(file, File::Segment(_))).collect()
    };
    let lost = segments(&disk);
    let fork = disk.fork();
    for segment in &lost {
        fork.replace(*segment, Vec::new());
    }
    let (mut reopened, _) = open(&fork);
    let mut wal = WalWriter::begin(&mut reopened, 200);
    wal.write(&mut reopened, 2, 2, &filled(20)).unwrap();
    reopened.append_pending().unwrap();
    assert_eq!(segments(&fork), lost[..1], "a lower number would come before what is left of the lost one");
}

/// After a loss of power that spared the log and took the end of the WAL, and with it the saved checksums.
#[test]
fn wal_that_is_behind_the_log_is_not_copied_over_what_the_log_says() {
    let (disk, mut driver, mut later) = aged_database();
    later.wall_ms += 60_000;
    driver.expire(RETENTION, later.wall_ms).unwrap();
    let mut wal = WalWriter::begin(&mut driver, 200);
    wal.write(&mut driver, 2, 2, &filled(20)).unwrap();
    let behind = disk.content(File::Wal).unwrap();
    wal.write(&mut driver, 2, 2, &filled(30)).unwrap();
    driver.append_pending().unwrap();
    driver.sync_log().unwrap();
    let fork = disk.fork();
    fork.replace(File::Wal, behind);
    fork.remove(File::Sums).unwrap();
    let (reopened, _) = open(&fork);
    assert_eq!(reopened.position(), driver.position());
    assert_eq!(reopened.recompute_checksum().unwrap(), driver.position().checksum);
}
