/// An error and its causes on one line, each said once: an error that tells its cause itself is followed by the cause of
/// that.
pub(crate) fn error_text(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot use /data: {source}")]
    struct Tells {
        source: io::Error,
    }

    #[test]
    fn cause_is_said_once() {
        let source = io::Error::other(io::Error::from_raw_os_error(30));
        let error = anyhow::Error::from(Tells { source }).context("cannot open store");
        assert_eq!(
            error_text(&error),
            "cannot open store: cannot use /data: Read-only file system (os error 30)"
        );
    }

    #[test]
    fn causes_that_an_error_does_not_tell_follow_it() {
        let error = anyhow::anyhow!("no space").context("cannot write").context("cannot export");
        assert_eq!(error_text(&error), "cannot export: cannot write: no space");
    }
}
