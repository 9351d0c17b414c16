//! Checking a database at rest.

use litefs_core::database::Request;
use litefs_core::drive::{Finding, Unfinished, verify};
use litefs_core::{File, Txid};

use crate::fixture::{MemoryDisk, NOW, commit_delete, filled, first_page, open, page, wal_database};
use crate::recovery::journal_of;

/// A database of two pages at transaction 3, closed.
fn closed() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    for change in 1..=3 {
        let pages = [(1, first_page(2, false, change)), (2, filled(change as u8))];
        commit_delete(&mut driver, &pages).unwrap();
    }
    driver.close().unwrap();
    disk.take_trace();
    disk
}

#[test]
fn closed_database_is_whole_and_stays_untouched() {
    let disk = closed();
    let verdict = verify(&disk).unwrap();
    assert_eq!((verdict.findings, verdict.unfinished), (vec![], vec![]));
    assert_eq!((verdict.position, verdict.files), (open(&disk.fork()).0.position(), 3));
    assert_eq!((verdict.first, verdict.page_count), (Some(Txid::new(1)), 2));
    assert_eq!(disk.take_trace(), [] as [&str; 0]);
}

#[test]
fn every_changed_byte_of_a_closed_database_is_found() {
    let disk = closed();
    for file in [File::Database, File::Segment(1), File::Sums] {
        let content = disk.content(file).unwrap();
        for at in 0..content.len() {
            let mut changed = content.clone();
            changed[at] ^= 0x10;
            let fork = disk.fork();
            fork.replace(file, changed);
            assert_ne!(verify(&fork).unwrap().findings, [], "{file:?} byte {at}");
        }
    }
}

#[test]
fn database_file_or_log_that_was_cut_off_is_found() {
    let disk = closed();
    for file in [File::Database, File::Segment(1)] {
        let content = disk.content(file).unwrap();
        for len in (0..content.len()).step_by(7) {
            let fork = disk.fork();
            fork.replace(file, content[..len].to_vec());
            assert_ne!(verify(&fork).unwrap().findings, [], "{file:?} of {len} bytes");
        }
    }
}

#[test]
fn all_damaged_pages_are_counted_and_the_first_is_named() {
    let disk = closed();
    let changed = [first_page(2, false, 9), filled(9)].concat();
    disk.replace(File::Database, changed);
    let findings = verify(&disk).unwrap().findings;
    let [Finding::Page { page: first, more: 1, .. }] = findings[..] else { panic!("{findings:?}") };
    assert_eq!(first, page(1));
}

#[test]
fn database_of_a_process_that_died_is_whole_with_work_left_for_the_next_start() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(5)).unwrap();
    driver.append_pending().unwrap();
    wal.write(&mut driver, 2, 2, &filled(6)).unwrap();
    let verdict = verify(&disk).unwrap();
    assert_eq!(verdict.findings, []);
    assert_eq!(verdict.unfinished, [Unfinished::Wal { transactions: 2 }]);
    assert_eq!(verdict.position.txid, Txid::new(2));
}

#[test]
fn database_with_a_hot_journal_is_judged_as_it_will_be() {
    let disk = closed();
    let before = [(1, first_page(2, false, 3)), (2, filled(3))];
    disk.replace(File::Journal, journal_of(&before, 2));
    disk.replace(File::Database, [first_page(2, false, 3), filled(77)].concat());
    let verdict = verify(&disk).unwrap();
    assert_eq!((verdict.findings, verdict.unfinished), (vec![], vec![Unfinished::Journal]));
    disk.replace(File::Journal, journal_of(&before[..1], 2));
    assert_ne!(verify(&disk).unwrap().findings, []);
}

#[test]
fn file_without_a_log_is_nobodys_damage() {
    let disk = MemoryDisk::default();
    assert_eq!(verify(&disk).unwrap().unfinished, []);
    disk.replace(File::Database, first_page(1, false, 1));
    let verdict = verify(&disk).unwrap();
    assert_eq!((verdict.findings, verdict.unfinished), (vec![], vec![Unfinished::NoLog]));
}
