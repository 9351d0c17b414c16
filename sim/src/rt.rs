//! The runtime under the simulation: virtual time and tasks. The only file that names madsim.

use std::future::Future;
use std::time::Duration;

use madsim::runtime::Runtime;
use madsim::task::JoinHandle;
use madsim::time::TimeHandle;

/// Runs `future` to its end in virtual time. Everything that happens depends on `seed` alone.
///
/// Call it on a thread of its own: the standard library keeps some state a thread.
pub(crate) fn run<F: Future>(seed: u64, future: F) -> F::Output {
    Runtime::with_seed_and_config(seed, madsim::Config::default()).block_on(future)
}

/// Starts a task beside the running one.
pub(crate) fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    Task(madsim::task::spawn_local(future))
}

/// A task that was started.
#[derive(Debug)]
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T> Task<T> {
    /// Waits for its end. `None` if it panicked or was cancelled.
    pub(crate) async fn join(self) -> Option<T> {
        self.0.await.ok()
    }
}

/// Waits in virtual time; anything below a millisecond takes about one.
pub(crate) async fn sleep(duration: Duration) {
    madsim::time::sleep(duration).await;
}

/// Virtual nanoseconds since the start of the run, zero outside of one.
pub(crate) fn elapsed_ns() -> u64 {
    TimeHandle::try_current().map_or(0, |time| u64::try_from(time.elapsed().as_nanos()).unwrap_or(u64::MAX))
}
