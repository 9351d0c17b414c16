//! Journals that nobody ends, because the program that wrote them died.

use litefs_core::database::Request;
use litefs_core::drive::Driver;
use litefs_core::sqlite::journal::MAGIC;
use litefs_core::{File, Txid};

use crate::fixture::{MemoryDisk, NOW, commit_delete, filled, first_page, open, write};
use crate::recovery::journal_of;

/// A database of two pages, and a hot journal that has one of them and `name` at its end.
fn interrupted(name: &[u8]) -> (MemoryDisk, Driver<MemoryDisk>) {
    let disk = MemoryDisk::default();
    let (mut driver, _) = open(&disk);
    driver.request(Request::Create(File::Database), NOW).unwrap();
    commit_delete(&mut driver, &[(1, first_page(2, false, 1)), (2, filled(1))]).unwrap();
    driver.request(Request::Create(File::Journal), NOW).unwrap();
    let mut journal = journal_of(&[(1, first_page(2, false, 1))], 2);
    journal.extend_from_slice(name);
    write(&mut driver, File::Journal, 0, &journal).unwrap();
    (disk, driver)
}

#[test]
fn journal_that_another_one_is_written_over_has_ended() {
    let name = b"/app.db-mj0";
    let sum: u32 = name.iter().map(|byte| u32::from(*byte)).sum();
    let len = (name.len() as u32).to_be_bytes();
    // The number of the lock page stands before it.
    let name =
        [&(0x4000_0000_u32 / 512 + 1).to_be_bytes(), &name[..], &len, &sum.to_be_bytes(), &MAGIC].concat();
    let (disk, mut driver) = interrupted(&name);
    write(&mut driver, File::Database, 0, &first_page(2, false, 2)).unwrap();
    // Its super-journal is gone, so SQLite leaves it where it is. A header is without its magic number at first.
    write(&mut driver, File::Journal, 0, &[0; 512]).unwrap();
    let position = driver.position();
    assert_eq!(position.txid, Txid::new(2));
    assert_eq!(
        disk.content(File::Journal),
        Some(vec![0; 512]),
        "the name would count for the next transaction"
    );
    assert_eq!(open(&disk.fork()).1.position, position);

    write(&mut driver, File::Database, 512, &filled(2)).unwrap();
    assert_eq!(driver.position(), position, "the second transaction has a journal");
    driver.request(Request::Remove(File::Journal), NOW).unwrap();
    assert_eq!(driver.position().txid, Txid::new(3));
}

#[test]
fn page_written_past_the_daemon_and_not_in_the_journal_is_found_after_the_rollback() {
    let (disk, mut driver) = interrupted(b"");
    driver.database_mut().set_unseen_writes(true);
    disk.replace(File::Database, [first_page(2, false, 2), filled(2)].concat());
    driver.database_mut().set_unseen_writes(false);
    driver.request(Request::Closed, NOW).unwrap();

    // The second page was free before: SQLite does not keep its content.
    write(&mut driver, File::Database, 0, &first_page(2, false, 1)).unwrap();
    driver.request(Request::Remove(File::Journal), NOW).unwrap();
    assert_eq!(driver.position().txid, Txid::new(2));
    assert_eq!(open(&disk.fork()).1.position, driver.position());
}
