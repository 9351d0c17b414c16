use super::{assert_fails, litefs, output, stdout};

#[test]
fn file_that_is_no_ltx_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("text.ltx"), "x".repeat(200)).unwrap();
    let output = litefs(directory.path()).args(["verify", "text.ltx"]).output().unwrap();
    let verdict = stdout(&output).lines().last().unwrap();
    assert!(verdict.starts_with("verdict       damaged: at byte 0 of the LTX file: "), "{verdict}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn file_that_is_not_there_is_an_error() {
    assert_fails(
        &output(["verify", "none.ltx"]),
        1,
        "ERROR: cannot open none.ltx: No such file or directory (os error 2)",
    );
}
