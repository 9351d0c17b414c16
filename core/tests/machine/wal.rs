//! Which write to the WAL commits.

use litefs_core::database::Request;
use litefs_core::{Errno, File, Txid};

use crate::fixture::{NOW, checkpoint as backfill, checksum, filled, first_page, wal_database, write};

#[test]
fn page_overwritten_in_place_commits_when_its_header_is_rewritten_below_the_commit_frame() {
    let (_, mut driver, mut wal) = wal_database();
    // A spilled frame without commit mark, whose page is overwritten later.
    let at = wal.end();
    let spilled = wal.frame(2, 0, &filled(3));
    write(&mut driver, File::Wal, at, &spilled.encode()).unwrap();
    write(&mut driver, File::Wal, at + 24, &filled(3)).unwrap();
    write(&mut driver, File::Wal, at + 24, &filled(4)).unwrap();
    // The commit frame, which is valid only once the header before it is.
    let fixed = wal.frame(2, 0, &filled(4));
    wal.skip(fixed, &filled(4));
    wal.write(&mut driver, 1, 2, &first_page(2, true, 2)).unwrap();
    assert_eq!(driver.position().txid, Txid::new(1));
    write(&mut driver, File::Wal, at, &fixed.encode()).unwrap();
    assert_eq!(driver.position().txid, Txid::new(2));
    assert_eq!(driver.position().checksum, checksum(&[first_page(2, true, 2), filled(4)]));
}

#[test]
fn last_header_rewritten_at_commit_completes_the_transaction_too() {
    let (_, mut driver, mut wal) = wal_database();
    let at = wal.end();
    let frame = wal.frame(2, 2, &filled(4));
    // The header comes with a wrong checksum first, as it does while SQLite knows that it will have to fix it.
    let mut unfinished = frame.encode();
    unfinished[8..].fill(0);
    write(&mut driver, File::Wal, at, &unfinished).unwrap();
    write(&mut driver, File::Wal, at + 24, &filled(4)).unwrap();
    assert_eq!(driver.position().txid, Txid::new(1));
    write(&mut driver, File::Wal, at, &frame.encode()).unwrap();
    wal.skip(frame, &filled(4));
    assert_eq!(driver.position().txid, Txid::new(2));
}

#[test]
fn header_alone_commits_nothing_even_where_an_older_generation_left_the_same_page() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(9)).unwrap();
    backfill(&disk, 2, &filled(9));
    let next = crate::fixture::WalWriter::begin_over(&mut driver, 101);
    // With the page that is still there, this header would be valid.
    let frame = next.frame(2, 3, &filled(9));
    write(&mut driver, File::Wal, next.end(), &frame.encode()).unwrap();
    assert_eq!(driver.position().txid, Txid::new(2));
    // The process dies here, or the page is refused: nothing is committed then either.
    let (reopened, recovered) = crate::fixture::open(&disk.fork());
    assert_eq!((reopened.position(), recovered.captured), (driver.position(), 0));
    write(&mut driver, File::Wal, next.end() + 24, &filled(9)).unwrap();
    assert_eq!(driver.position().txid, Txid::new(3));
}

#[test]
fn page_written_in_two_parts_commits_with_the_second() {
    let (_, mut driver, wal) = wal_database();
    let frame = wal.frame(2, 2, &filled(4));
    write(&mut driver, File::Wal, wal.end(), &frame.encode()).unwrap();
    write(&mut driver, File::Wal, wal.end() + 24, &filled(4)[..200]).unwrap();
    assert_eq!(driver.position().txid, Txid::new(1));
    write(&mut driver, File::Wal, wal.end() + 224, &filled(4)[200..]).unwrap();
    assert_eq!(driver.position().txid, Txid::new(2));
}

#[test]
fn many_transactions_in_one_write_are_many_transactions() {
    let (_, mut driver, mut wal) = wal_database();
    let at = wal.end();
    let mut bytes = Vec::new();
    for byte in [5, 6, 7] {
        let frame = wal.frame(2, 2, &filled(byte));
        bytes.extend_from_slice(&frame.encode());
        bytes.extend_from_slice(&filled(byte));
        wal.skip(frame, &filled(byte));
    }
    write(&mut driver, File::Wal, at, &bytes).unwrap();
    assert_eq!(driver.position().txid, Txid::new(4));
}

#[test]
fn repeated_commit_frame_is_padding() {
    let (_, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(4)).unwrap();
    wal.write(&mut driver, 2, 2, &filled(4)).unwrap();
    assert_eq!(driver.position().txid, Txid::new(2));
    wal.write(&mut driver, 2, 2, &filled(5)).unwrap();
    assert_eq!(driver.position().txid, Txid::new(3));
}

#[test]
fn b03_page_that_was_never_written_is_part_of_the_transaction() {
    let (_, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 1, 4, &first_page(4, true, 2)).unwrap();
    wal.write(&mut driver, 4, 4, &filled(4)).unwrap();
    let pages = [first_page(4, true, 2), filled(2), filled(0), filled(4)];
    assert_eq!(driver.position().checksum, checksum(&pages));
}

#[test]
fn b02_shrinking_across_many_pages_keeps_the_checksum_right() {
    let (_, mut driver, mut wal) = wal_database();
    for number in 3..=600 {
        let commit = if number == 600 { 600 } else { 0 };
        wal.write(&mut driver, number, commit, &filled(number as u8)).unwrap();
    }
    wal.write(&mut driver, 1, 2, &first_page(2, true, 2)).unwrap();
    assert_eq!(driver.position().checksum, checksum(&[first_page(2, true, 2), filled(2)]));
    driver.append_pending().unwrap();
}

#[test]
fn removed_wal_leaves_nothing_behind_that_the_database_lacks() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(9)).unwrap();
    driver.request(Request::Remove(File::Wal), NOW).unwrap();
    assert_eq!(disk.content(File::Database).unwrap()[512..1024], filled(9));
    assert_eq!(driver.durable(), driver.position());
}

#[test]
fn wal_is_not_given_up_while_it_has_what_the_database_lacks() {
    // A writer died after its commit and before it could say so: the next one believes that the WAL is empty.
    let (_, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(9)).unwrap();
    let position = driver.position();
    let header = [0; 32];
    assert_eq!(write(&mut driver, File::Wal, 0, &header), Err(Errno::EIO));
    assert!(driver.database_mut().take_in_doubt());
    assert_eq!(driver.request(Request::SetLen { file: File::Wal, len: 0 }, NOW), Err(Errno::EIO));
    assert!(driver.database_mut().take_in_doubt());
    assert_eq!(driver.position(), position);
}
