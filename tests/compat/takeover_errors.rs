use std::fs;

use super::left::{Left, copy, recorded};

/// What the start of a store over this directory says.
fn refusal(left: &Left) -> String {
    left.open().map(|_| ()).unwrap_err().to_string()
}

#[test]
fn newest_transaction_that_is_damaged_is_named() {
    let left = Left::new(&["rollback"]);
    let path = left.ltx("rollback", 3);
    let mut content = fs::read(&path).unwrap();
    content[200] ^= 1;
    fs::write(&path, content).unwrap();
    let refusal = refusal(&left);
    let beginning = format!(
        "open databases: take over database(\"rollback\") of LiteFS: the newest transaction {} is damaged: at byte ",
        path.display()
    );
    assert!(refusal.starts_with(&beginning), "{refusal}");
    assert!(refusal.contains("remove the database's directory to fetch it from the primary"), "{refusal}");
}

#[test]
fn newest_transaction_with_the_name_of_another_is_refused() {
    let left = Left::new(&["rollback"]);
    fs::rename(left.ltx("rollback", 3), left.ltx("rollback", 9)).unwrap();
    let refusal = refusal(&left);
    assert!(
        refusal.contains("is damaged: it holds transactions 0000000000000003 to 0000000000000003"),
        "{refusal}"
    );
}

#[test]
fn database_that_is_not_what_its_newest_transaction_says_is_refused_and_stays_as_it_is() {
    let left = Left::new(&["hole"]);
    let directory = left.database_dir("hole");
    let mut content = fs::read(directory.join("database")).unwrap();
    let end = content.len() - 1;
    content[4 * 512 + 5] ^= 1;
    fs::write(directory.join("database"), &content).unwrap();
    let refusal = refusal(&left);
    assert!(refusal.contains("its newest transaction says 0000000000000003/d2632409fce18584"), "{refusal}");
    assert!(!directory.join("log").exists() && !directory.join("sums").exists());
    assert_eq!(fs::read_dir(directory.join("ltx")).unwrap().count(), 3);
    assert_eq!(fs::read(directory.join("database")).unwrap()[..end], content[..end]);
    // What is put right is taken over.
    copy(&recorded("hole"), &directory);
    left.open().unwrap();
}

#[test]
fn truncated_database_is_not_taken_for_one_with_holes() {
    let left = Left::new(&["hole"]);
    let path = left.database_dir("hole").join("database");
    fs::File::options().write(true).open(&path).unwrap().set_len(512).unwrap();
    assert!(refusal(&left).contains("the file was damaged or changed from outside"));
}
