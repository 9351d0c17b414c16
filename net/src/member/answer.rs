use tracing::error;

use super::input::{Inbox, Input};

/// Answers an effect, also if what carries it out panics.
pub(crate) struct Answer {
    inbox: Inbox,
    input: Option<Input>,
    /// What it is an answer to, for the log.
    to: &'static str,
}

impl Answer {
    /// The answer to something, which is `otherwise` unless there is another.
    pub(crate) fn new(inbox: Inbox, to: &'static str, otherwise: Input) -> Self {
        Self { inbox, input: Some(otherwise), to }
    }

    /// Answers with this.
    pub(crate) fn give(mut self, input: Input) {
        self.input = Some(input);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!("{} panicked", self.to);
        }
        if let Some(input) = self.input.take() {
            // A member that stopped wants no answers.
            self.inbox.send(input);
        }
    }
}
