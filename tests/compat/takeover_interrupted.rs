//! A takeover that the process or the power did not let come to its end.

use std::fs;

use super::left::{ALL, Left, assert_whole};

/// Opens a data directory once, brings each database's directory back to an earlier step, and opens it again.
fn after(step: &str, undo: impl Fn(&Left, &str)) {
    let left = Left::new(&ALL.map(|(name, ..)| name));
    left.open().unwrap();
    for (name, ..) in ALL {
        undo(&left, name);
    }
    assert_whole(&left.open().unwrap(), step);
    for (name, ..) in ALL {
        let directory = left.database_dir(name);
        assert!(!directory.join("ltx").exists() && !directory.join("takeover").exists(), "{name} {step}");
    }
    assert_whole(&left.open().unwrap(), "and once more");
}

fn ltx_has_its_name(left: &Left, name: &str) {
    let directory = left.database_dir(name);
    fs::rename(directory.join("ltx.taken-over"), directory.join("ltx")).unwrap();
}

fn log_is_in_the_making(left: &Left, name: &str) {
    ltx_has_its_name(left, name);
    let directory = left.database_dir(name);
    fs::create_dir(directory.join("takeover")).unwrap();
    fs::rename(directory.join("log"), directory.join("takeover/log")).unwrap();
}

#[test]
fn interrupted_before_the_last_rename() {
    after("ltx is not renamed", ltx_has_its_name);
}

#[test]
fn interrupted_before_the_log_has_its_name() {
    after("the log has no name", log_is_in_the_making);
}

#[test]
fn interrupted_while_the_log_is_written() {
    after("the log is torn", |left, name| {
        log_is_in_the_making(left, name);
        let directory = left.database_dir(name);
        let _ = fs::remove_file(directory.join("sums"));
        for segment in fs::read_dir(directory.join("takeover/log")).unwrap() {
            let file = fs::File::options().write(true).open(segment.unwrap().path()).unwrap();
            file.set_len(file.metadata().unwrap().len() - 7).unwrap();
        }
    });
}

#[test]
fn interrupted_while_the_checksums_are_written() {
    after("the checksums are torn", |left, name| {
        log_is_in_the_making(left, name);
        let directory = left.database_dir(name);
        if fs::rename(directory.join("sums"), directory.join("sums.new")).is_ok() {
            fs::File::options().write(true).open(directory.join("sums.new")).unwrap().set_len(60).unwrap();
        }
    });
}

#[test]
fn interrupted_between_the_names_of_the_old_log_and_the_new() {
    after("the log has an older one beside it", |left, name| {
        log_is_in_the_making(left, name);
        fs::create_dir(left.database_dir(name).join("log.replaced")).unwrap();
    });
}
