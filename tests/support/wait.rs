use std::thread;
use std::time::{Duration, Instant};

/// How long a condition may take that is expected to become true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `probe` has an answer.
///
/// # Panics
/// It has none after [`PATIENCE`]; the message says what was waited for.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until `condition` is true.
///
/// # Panics
/// See [`wait_for`].
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}
