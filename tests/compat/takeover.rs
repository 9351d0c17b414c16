use std::fs;

use litefs_core::database::Authority;
use litefs_core::sqlite::wal::{FrameHeader, WalHeader};
use litefs_core::{Checksum, PageNumber, Position, Txid, ltx};

use super::left::{ALL, Left, ask, assert_whole, copy, database, position, recorded, snapshot, transaction};
use crate::support::{self, Cluster, Options};

fn names() -> Vec<&'static str> {
    ALL.iter().map(|(name, ..)| *name).collect()
}

#[test]
fn every_database_is_where_litefs_left_it() {
    let left = Left::new(&names());
    let store = left.open().unwrap();
    assert_whole(&store, "after the takeover");
    store.close();
    drop(store);
    assert_whole(&left.open().unwrap(), "at the next start");
}

#[test]
fn peers_get_the_transactions_that_litefs_had_byte_by_byte() {
    let left = Left::new(&names());
    let store = left.open().unwrap();
    for (name, expected, ..) in ALL {
        let last = expected.parse::<Position>().unwrap().txid.get();
        for txid in 1..=last {
            let file = recorded(name).join(format!("ltx/{txid:016x}-{txid:016x}.ltx"));
            let expected = Some(fs::read(file).unwrap()).filter(|_| name != "hollow");
            assert!(transaction(&store, name, txid) == expected, "{name} {txid}");
        }
    }
}

#[test]
fn files_of_litefs_are_kept_under_another_name() {
    let left = Left::new(&["wal"]);
    left.open().unwrap();
    let directory = left.database_dir("wal");
    assert!(!directory.join("ltx").exists());
    assert_eq!(fs::read_dir(directory.join("ltx.taken-over")).unwrap().count(), 4);
}

#[test]
fn everybody_may_write_to_a_database_that_litefs_kept_for_itself() {
    use std::os::unix::fs::PermissionsExt;
    let left = Left::new(&["rollback"]);
    left.open().unwrap();
    let metadata = fs::metadata(left.database_dir("rollback").join("database")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o666);
}

#[test]
fn b01_transaction_without_pages_is_not_sent_to_anybody() {
    let left = Left::new(&["hollow"]);
    let store = left.open().unwrap();
    let last = ltx::decode_all(&fs::read(recorded("hollow").join("ltx").join(LAST_HOLLOW)).unwrap()).unwrap();
    assert!(last.pages.is_empty() && last.header.pre_apply != last.trailer.post_apply, "{last:?}");
    assert_eq!(transaction(&store, "hollow", 4), None);
    let (header, trailer) = ltx::verify(&snapshot(&store, "hollow")).unwrap();
    assert_eq!((header.max_txid, trailer.post_apply), (Txid::new(4), last.trailer.post_apply));
}

const LAST_HOLLOW: &str = "0000000000000004-0000000000000004.ltx";

#[test]
fn b03_pages_that_were_never_written_are_committed_by_the_next_primary_only() {
    let left = Left::new(&["hole"]);
    let store = left.open().unwrap();
    let replica = position(&store, "hole");
    assert_eq!(replica, ALL[3].1.parse().unwrap(), "a replica stays where its primary is");
    store.set_authority(Authority::Forever).unwrap();
    let primary = position(&store, "hole");
    assert_eq!(primary.txid, replica.txid.next());
    let sent = ltx::decode_all(&transaction(&store, "hole", primary.txid.get()).unwrap()).unwrap();
    assert!(!sent.pages.is_empty() && sent.pages.iter().all(|(_, content)| *content == [0; 512]), "{sent:?}");
    let (_, trailer) = ltx::verify(&snapshot(&store, "hole")).unwrap();
    assert_eq!(trailer.post_apply, primary.checksum);
    store.set_authority(Authority::Forever).unwrap();
    assert_eq!(position(&store, "hole"), primary, "once");
}

#[test]
fn b03_pages_that_were_never_written_are_known_without_the_saved_checksums_too() {
    let left = Left::new(&["hole"]);
    // A log that does not go back to the first transaction.
    fs::remove_file(left.ltx("hole", 1)).unwrap();
    left.open().unwrap();
    fs::remove_file(left.database_dir("hole").join("sums")).unwrap();
    assert_eq!(position(&left.open().unwrap(), "hole"), ALL[3].1.parse().unwrap());
}

#[test]
fn b04_journal_beside_an_empty_database_is_no_obstacle() {
    let left = Left::new(&["journal"]);
    let directory = left.database_dir("journal");
    fs::write(directory.join("database"), b"").unwrap();
    fs::remove_dir_all(directory.join("ltx")).unwrap();
    fs::create_dir(directory.join("ltx")).unwrap();
    assert_eq!(position(&left.open().unwrap(), "journal"), Position::ZERO);
    assert!(!directory.join("journal").exists() && !directory.join("ltx.taken-over").exists());
}

#[test]
fn b05_header_without_a_page_count_is_no_obstacle() {
    for with_ltx in [true, false] {
        let left = Left::new(&["rollback"]);
        let directory = left.database_dir("rollback");
        let mut content = fs::read(directory.join("database")).unwrap();
        content[28..32].fill(0);
        fs::write(directory.join("database"), content).unwrap();
        if !with_ltx {
            fs::remove_dir_all(directory.join("ltx")).unwrap();
            fs::create_dir(directory.join("ltx")).unwrap();
        }
        let store = left.open().unwrap();
        let expected = if with_ltx { 3 } else { 1 };
        assert_eq!(position(&store, "rollback").txid, Txid::new(expected));
        assert_eq!(ask(&store, "rollback", ALL[0].2), ALL[0].3);
    }
}

#[test]
fn database_without_any_transaction_begins_with_one() {
    let left = Left::new(&["rollback"]);
    let directory = left.database_dir("rollback");
    for entry in fs::read_dir(directory.join("ltx")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    fs::write(directory.join("ltx/0000000000000001-0000000000000001.ltx.tmp"), b"torn").unwrap();
    let store = left.open().unwrap();
    let checksum = ALL[0].1.parse::<Position>().unwrap().checksum;
    assert_eq!(position(&store, "rollback"), Position { txid: Txid::new(1), checksum });
}

#[test]
fn commit_that_litefs_had_not_acknowledged_is_cut_off_the_wal() {
    let left = Left::new(&["wal"]);
    let path = left.database_dir("wal").join("wal");
    let mut content = fs::read(&path).unwrap();
    let header = WalHeader::decode(&content).unwrap();
    let last = FrameHeader::decode(&content[content.len() - 536..]).unwrap();
    let page = vec![0x55; 512];
    let frame = FrameHeader::new(&header, last.checksum, PageNumber::new(2).unwrap(), 2, &page);
    content.extend_from_slice(&frame.encode());
    content.extend_from_slice(&page);
    fs::write(&path, content).unwrap();
    let store = left.open().unwrap();
    assert_eq!(position(&store, "wal").to_string(), ALL[1].1);
    assert_eq!(ask(&store, "wal", ALL[1].2), ALL[1].3);
}

#[test]
fn wal_that_is_not_that_of_the_newest_transaction_is_put_aside() {
    let left = Left::new(&["rollback"]);
    let directory = left.database_dir("rollback");
    fs::copy(recorded("wal").join("wal"), directory.join("wal")).unwrap();
    let store = left.open().unwrap();
    assert_eq!(position(&store, "rollback").to_string(), ALL[0].1);
    assert_eq!(
        fs::read(directory.join("wal.removed")).unwrap(),
        fs::read(recorded("wal").join("wal")).unwrap()
    );
}

#[test]
fn gap_or_damage_in_older_transactions_only_shortens_the_log() {
    for damage in ["gap", "damaged"] {
        let left = Left::new(&["wal"]);
        if damage == "gap" {
            fs::remove_file(left.ltx("wal", 2)).unwrap();
        } else {
            let mut content = fs::read(left.ltx("wal", 2)).unwrap();
            content[150] ^= 1;
            fs::write(left.ltx("wal", 2), content).unwrap();
        }
        let store = left.open().unwrap();
        assert_eq!(position(&store, "wal").to_string(), ALL[1].1);
        assert_eq!(database(&store, "wal").log_range().0, Txid::new(3), "{damage}");
    }
}

#[test]
fn litefs_that_went_on_after_us_is_taken_over_again() {
    let left = Left::new(&["rollback"]);
    left.open().unwrap().close();
    let directory = left.database_dir("rollback");
    fs::remove_file(directory.join("database")).unwrap();
    copy(&recorded("wal"), &directory);
    let store = left.open().unwrap();
    assert_eq!(position(&store, "rollback").to_string(), ALL[1].1);
    assert_eq!(ask(&store, "rollback", ALL[1].2), ALL[1].3);
    assert!(directory.join("log.replaced").is_dir());
}

#[test]
fn node_goes_on_where_litefs_ended_and_replicas_get_everything() {
    let mut cluster = Cluster::prepare(2, Options::default());
    for name in names() {
        copy(&recorded(name), &cluster.primary().data().join("dbs").join(name));
    }
    for node in &mut cluster.nodes {
        node.start();
    }
    for (name, expected, sql, answer) in ALL.iter().filter(|(.., sql, _)| !sql.is_empty()) {
        let connection = support::open(cluster.primary(), name);
        let found: String = support::query(&connection, sql);
        assert_eq!(found, *answer, "{name}");
        support::run(&connection, "create table more(x); insert into more values('new')");
        support::assert_replicated(cluster.primary(), cluster.replica(), name);
        let before = expected.parse::<Position>().unwrap().txid.get();
        // The hole is filled by a transaction of its own.
        let after = before + if *name == "hole" { 3 } else { 2 };
        let found = cluster.primary().position(name).unwrap();
        assert_eq!(found.trim().parse::<Position>().unwrap().txid, Txid::new(after), "{name}");
    }
    let dropped = cluster.primary().position("dropped").unwrap();
    let expected = Position { txid: Txid::new(2), checksum: Checksum::EMPTY };
    assert_eq!(dropped.trim().parse(), Ok(expected));
    assert!(!cluster.primary().path("dropped").exists());
}
