use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const WITH_TOTAL: &str = "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
const WITHOUT_TOTAL: &str = "{spinner} {bytes} {binary_bytes_per_sec}";

/// Shows on a terminal how far a transfer is; elsewhere nothing.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    // Draws to standard error, and not at all unless that is a terminal.
    bar: ProgressBar,
}

impl Progress {
    /// A transfer of this many bytes, if that is known.
    pub(super) fn new(total: Option<u64>) -> Self {
        let bar = ProgressBar::no_length();
        bar.enable_steady_tick(Duration::from_millis(200));
        let progress = Self { bar };
        progress.expect(total);
        progress
    }

    /// Tells how many bytes are done, and of how many if that is known.
    pub(super) fn update(&self, done: u64, total: Option<u64>) {
        if self.bar.length() != total {
            self.expect(total);
        }
        self.bar.set_position(done);
    }

    fn expect(&self, total: Option<u64>) {
        let template = if total.is_some() { WITH_TOTAL } else { WITHOUT_TOTAL };
        self.bar.set_style(ProgressStyle::with_template(template).expect("the template is a constant"));
        if let Some(total) = total {
            self.bar.set_length(total);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
