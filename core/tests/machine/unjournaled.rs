//! What programs write to the database file past SQLite, beneath a WAL.

use litefs_core::database::Request;
use litefs_core::{File, Txid};

use crate::fixture::{NOW, WalWriter, checksum, filled, first_page, open, wal_database, write};

#[test]
fn database_file_replaced_beneath_its_wal_is_one_transaction_once_the_wal_is_replaced_too() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(9)).unwrap();
    let other = first_page(1, true, 50);
    driver.request(Request::SetLen { file: File::Database, len: 0 }, NOW).unwrap();
    write(&mut driver, File::Database, 0, &other).unwrap();
    driver.request(Request::SetLen { file: File::Wal, len: 0 }, NOW).unwrap();
    assert_eq!(disk.content(File::Database).unwrap(), other, "pages of the old wal came back");

    let mut wal = WalWriter::begin_over(&mut driver, 200);
    assert_eq!(driver.position().txid, Txid::new(3));
    assert_eq!(driver.position().checksum, checksum(&[other]));
    assert!(!driver.database().is_dirty());
    wal.write(&mut driver, 1, 0, &first_page(2, true, 51)).unwrap();
    wal.write(&mut driver, 2, 2, &filled(7)).unwrap();
    assert_eq!(driver.position().checksum, checksum(&[first_page(2, true, 51), filled(7)]));
    assert_eq!(open(&disk.fork()).1.position, driver.position());
}

#[test]
fn database_file_replaced_beneath_its_wal_stays_when_the_wal_is_removed_after_the_last_close() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 2, 2, &filled(9)).unwrap();
    let other = [first_page(2, false, 50), filled(8)];
    driver.request(Request::SetLen { file: File::Database, len: 0 }, NOW).unwrap();
    write(&mut driver, File::Database, 0, &other.concat()).unwrap();
    driver.request(Request::Closed, NOW).unwrap();
    let through_wal = [other[0].clone(), filled(9)];
    assert_eq!(driver.position().checksum, checksum(&through_wal), "what a reader saw then");
    driver.request(Request::Remove(File::Wal), NOW).unwrap();
    driver.request(Request::Closed, NOW).unwrap();
    assert_eq!(disk.content(File::Database).unwrap(), other.concat());
    assert_eq!(driver.position().checksum, checksum(&other));
}

#[test]
fn page_written_by_hand_beneath_the_wal_is_a_transaction_without_what_the_wal_hides() {
    let (disk, mut driver, mut wal) = wal_database();
    wal.write(&mut driver, 1, 3, &first_page(3, true, 2)).unwrap();
    wal.write(&mut driver, 3, 3, &filled(3)).unwrap();
    write(&mut driver, File::Database, 512, &filled(66)).unwrap();
    driver.request(Request::Sync(File::Database), NOW).unwrap();
    let seen = [first_page(3, true, 2), filled(66), filled(3)];
    assert_eq!(driver.position().checksum, checksum(&seen));
    let position = driver.position();

    let (_, recovered) = open(&disk.fork());
    assert_eq!((recovered.position, recovered.captured), (position, 0), "the wal was captured twice");
    wal.write(&mut driver, 3, 3, &filled(4)).unwrap();
    assert_eq!(driver.position().txid, position.txid.next());
}

#[test]
fn same_bytes_written_by_hand_leave_nothing_to_capture() {
    let (_, mut driver, _) = wal_database();
    driver.request(Request::Remove(File::Wal), NOW).unwrap();
    let position = driver.position();
    write(&mut driver, File::Database, 512, &filled(2)).unwrap();
    assert!(driver.database().is_dirty());
    driver.request(Request::Closed, NOW).unwrap();
    assert!(!driver.database().is_dirty());
    assert_eq!(driver.position(), position);
}
