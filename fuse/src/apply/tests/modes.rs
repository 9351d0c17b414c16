//! Databases that nobody has open, databases in rollback mode, and changes between the modes.

use super::*;

#[test]
fn database_that_nobody_has_open_is_written_directly() {
    for mode in ["delete", "wal"] {
        let mut source = Source::new(mode, 4096);
        let mut replica = Replica::of(&source);
        for seq in 1..=100 {
            assert_eq!(replica.apply(&source.transfer(seq)).unwrap(), Applied::Direct);
        }
        replica.assert_file_is(&source);
        assert_eq!(replica.connect().get("SELECT seq FROM meta"), "100");
    }
}

#[test]
fn rollback_mode_reader_is_waited_for_but_not_for_ever() {
    let mut source = Source::new("delete", 4096);
    let mut replica = Replica::of(&source);
    let mut reader = replica.connect();
    reader.get("BEGIN; SELECT seq FROM meta");
    let first = source.transfer(1);
    let error = replica.apply_within(&first, IMPATIENCE).unwrap_err();
    assert!(matches!(error, ApplyError::Busy(Lock::Exclusive)), "{error}");
    assert_eq!(replica.connect().get("SELECT seq FROM meta"), "0", "a failed attempt keeps readers out");
    assert_eq!(reader.get("SELECT seq FROM meta"), "0");

    std::thread::scope(|scope| {
        let applying = scope.spawn(|| replica.apply(&first).unwrap());
        reader.get("SELECT seq FROM meta; COMMIT");
        assert_eq!(applying.join().unwrap(), Applied::Direct);
    });
    assert_eq!(reader.get("SELECT seq FROM meta"), "1");
    replica.assert_file_is(&source);
}

#[test]
fn rollback_mode_readers_see_each_transaction_whole() {
    let mut source = Source::new("truncate", 1024);
    let mut replica = Replica::of(&source);
    let mut readers = [replica.connect(), replica.connect()];
    for reader in &mut readers {
        // A waiting writer keeps readers out for a moment.
        reader.get("PRAGMA busy_timeout = 10000");
        reader.watch(200);
    }
    for seq in 1..=200 {
        assert_eq!(replica.apply(&source.transfer(seq)).unwrap(), Applied::Direct);
    }
    for mut reader in readers {
        reader.finish().unwrap();
    }
    replica.assert_file_is(&source);
}

#[test]
fn nothing_is_applied_over_a_hot_journal() {
    let mut source = Source::new("delete", 4096);
    let mut replica = Replica::of(&source);
    let mut writer = replica.connect();
    writer.get(
        "PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN; INSERT INTO log VALUES(1, zeroblob(200000))",
    );
    writer.kill();
    let transaction = source.transfer(1);
    let error = replica.apply(&transaction).unwrap_err();
    assert!(matches!(error, ApplyError::HotJournal), "{error}");

    // Whoever opens it next rolls it back.
    assert_eq!(replica.connect().get("SELECT count(*) FROM log"), "0");
    replica.apply(&transaction).unwrap();
    replica.assert_file_is(&source);
}

#[test]
fn connections_follow_a_database_into_wal_mode_and_back() {
    let mut source = Source::new("delete", 4096);
    let mut replica = Replica::of(&source);
    let mut reader = replica.connect();
    assert_eq!(reader.get("SELECT seq FROM meta"), "0");

    replica.apply(&source.run("PRAGMA journal_mode = wal")).unwrap();
    replica.apply(&source.transfer(1)).unwrap();
    assert_eq!(reader.get("SELECT seq FROM meta"), "1");
    assert!(is_wal(&replica.apply(&source.transfer(2)).unwrap()));
    assert_eq!(reader.get("SELECT seq FROM meta"), "2");

    // The reader has the WAL open, so it stays in use although the header says otherwise.
    replica.apply(&source.run("PRAGMA journal_mode = delete")).unwrap();
    assert!(is_wal(&replica.apply(&source.transfer(3)).unwrap()));
    assert_eq!(reader.get("SELECT seq FROM meta"), "3");
    let mut newcomer = replica.connect();
    assert_eq!(newcomer.get("SELECT seq FROM meta"), "3");

    drop(reader);
    drop(newcomer);
    replica.applier.checkpoint().unwrap();
    assert_eq!(replica.apply(&source.transfer(4)).unwrap(), Applied::Direct);
    replica.assert_file_is(&source);
    assert_eq!(replica.connect().get("SELECT seq FROM meta; PRAGMA journal_mode"), "delete");
}

#[test]
fn page_size_changes_beneath_connections() {
    for mode in ["delete", "wal"] {
        let mut source = Source::new("delete", 1024);
        source.run(&format!("PRAGMA journal_mode = {mode}"));
        let mut replica = Replica::of(&source);
        let mut reader = replica.connect();
        reader.get("SELECT seq FROM meta");
        replica.apply(&source.transfer(1)).unwrap();
        assert_eq!(reader.get("SELECT seq FROM meta"), "1");

        replica.apply(&source.run("PRAGMA journal_mode = delete")).unwrap();
        replica.apply(&source.run("PRAGMA page_size = 8192; VACUUM")).unwrap();
        assert_eq!(reader.get("SELECT seq FROM meta"), "1", "in mode {mode}");
        assert_eq!(reader.get("PRAGMA integrity_check"), "ok");
        for seq in 2..=20 {
            replica.apply(&source.transfer(seq)).unwrap();
            assert_eq!(reader.get("SELECT seq FROM meta"), seq.to_string());
        }
        assert_eq!(reader.get("PRAGMA page_size"), "8192");
        assert_eq!(reader.get("PRAGMA integrity_check"), "ok");
        drop(reader);
        replica.applier.checkpoint().unwrap();
        replica.assert_file_is(&source);
    }
}

#[test]
fn new_page_size_waits_for_readers_that_are_in_the_wal() {
    let mut source = Source::new("delete", 1024);
    source.run("PRAGMA journal_mode = wal");
    let mut replica = Replica::of(&source);
    let mut reader = replica.connect();
    reader.get("SELECT seq FROM meta");
    replica.apply(&source.transfer(1)).unwrap();
    reader.get("BEGIN; SELECT seq FROM meta");
    source.run("PRAGMA journal_mode = delete");
    source.run("PRAGMA page_size = 4096; VACUUM");
    let resized = source.snapshot();
    let error = replica.apply_within(&resized, IMPATIENCE).unwrap_err();
    assert!(matches!(error, ApplyError::Busy(Lock::Readers)), "{error}");
    assert_eq!(reader.get("PRAGMA integrity_check; COMMIT; SELECT seq FROM meta"), "1");
    replica.apply(&resized).unwrap();
    assert_eq!(reader.get("PRAGMA integrity_check"), "ok");
    assert_eq!(reader.get("PRAGMA page_size"), "4096");
}

#[test]
fn snapshot_that_looks_like_what_connections_have_cached_is_told_apart() {
    // Two histories of the same length, so that the sixteen bytes that SQLite compares are the same.
    let history = |amount: u32| {
        let mut source = Source::new("delete", 4096);
        source.run(&format!("UPDATE account SET balance = {amount}"));
        source
    };
    let (ours, mut theirs) = (history(111), history(222));
    assert_eq!(ours.image()[24..40], theirs.image()[24..40]);
    let mut replica = Replica::of(&ours);
    let mut reader = replica.connect();
    assert_eq!(reader.get("SELECT sum(balance) FROM account"), "2220");

    assert!(is_wal(&replica.apply(&theirs.snapshot()).unwrap()));
    assert_eq!(reader.get("SELECT sum(balance) FROM account"), "4440");

    // Once the counter is beyond everything that was here, the database file is enough again.
    drop(reader);
    for seq in 1..=3 {
        replica.apply(&theirs.transfer(seq)).unwrap();
        replica.applier.checkpoint().unwrap();
    }
    assert_eq!(replica.apply(&theirs.transfer(4)).unwrap(), Applied::Direct);
    replica.assert_file_is(&theirs);
}

#[test]
fn drop_while_a_connection_is_open_takes_the_files_and_leaves_the_connection_its_state() {
    for mode in ["delete", "wal"] {
        let mut source = Source::new(mode, 4096);
        let mut replica = Replica::of(&source);
        let mut reader = replica.connect();
        reader.get("BEGIN; SELECT seq FROM meta");
        let started = std::time::Instant::now();
        replica.apply_within(&Transaction::deletion(), IMPATIENCE).unwrap();
        assert!(started.elapsed() < PATIENCE);
        for suffix in ["", "-wal", "-shm", "-journal"] {
            assert!(!replica.path(suffix).exists(), "db{suffix} is left");
        }
        assert_eq!(reader.get("PRAGMA integrity_check"), "ok");

        std::fs::write(replica.path(""), b"").unwrap();
        source.transfer(1);
        assert_eq!(replica.apply(&source.snapshot()).unwrap(), Applied::Direct);
        assert_eq!(replica.connect().get("SELECT seq FROM meta"), "1");
    }
}

#[test]
fn half_written_database_stays_locked_until_it_is_whole() {
    let mut source = Source::new("delete", 4096);
    let mut replica = Replica::of(&source);
    let good = source.run("UPDATE account SET balance = balance; INSERT INTO log VALUES(1, zeroblob(9000))");
    let mut bad = good.clone();
    bad.pages.last_mut().unwrap().1.pop();
    replica.apply(&bad).unwrap_err();
    assert_eq!(replica.connect().run("SELECT 1 FROM meta").unwrap_err(), "error database is locked");
    replica.apply(&good).unwrap();
    assert_eq!(replica.connect().get("PRAGMA integrity_check"), "ok");
    replica.assert_file_is(&source);
}

#[test]
fn write_lock_keeps_writers_out_and_lets_wal_readers_in() {
    for (mode, read) in [("wal", Ok("0".to_owned())), ("delete", Err("error database is locked".to_owned()))]
    {
        let source = Source::new(mode, 4096);
        let mut replica = Replica::of(&source);
        let mut client = replica.connect();
        client.get("SELECT 1 FROM meta");
        let seen = replica.applier.with_write_lock(PATIENCE, |_| {
            (client.run("UPDATE meta SET seq = 9"), client.run("SELECT seq FROM meta"))
        });
        assert_eq!(seen.unwrap(), (Err("error database is locked".to_owned()), read));
        assert_eq!(client.get("UPDATE meta SET seq = 9; SELECT seq FROM meta"), "9");

        client.get("BEGIN IMMEDIATE");
        let busy = replica.applier.with_write_lock(IMPATIENCE, |_| ()).unwrap_err();
        assert!(matches!(busy, ApplyError::Busy(_)), "{busy}");
        client.get("COMMIT");
    }
}

#[test]
fn transaction_is_applied_under_a_write_lock_that_is_held() {
    for mode in ["wal", "delete"] {
        let mut source = Source::new(mode, 4096);
        let mut replica = Replica::of(&source);
        let mut client = replica.connect();
        client.get("SELECT 1 FROM meta");
        replica.applier.hold(PATIENCE).unwrap();
        for seq in 1..=3 {
            replica.apply(&source.transfer(seq)).unwrap();
            assert_eq!(client.run("UPDATE meta SET seq = 9").unwrap_err(), "error database is locked");
        }
        replica.applier.release().unwrap();
        assert_eq!(client.get("SELECT seq FROM meta"), "3");
        assert_eq!(client.get("UPDATE meta SET seq = 9; SELECT seq FROM meta"), "9");
    }
}
