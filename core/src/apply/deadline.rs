use core::time::Duration;

use super::Clock;

/// Moment until which something may be waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Duration);

impl Deadline {
    /// The moment `wait` from now.
    pub(super) fn after(clock: &impl Clock, wait: Duration) -> Self {
        Self(clock.elapsed().saturating_add(wait))
    }

    /// Asks `condition` again and again until it holds, at least once; false when the deadline came first.
    ///
    /// Locks of the kernel can only be waited for without a bound, hence the polling. It starts fast, because most
    /// conflicts are with readers that are gone in microseconds.
    ///
    /// # Errors
    /// What `condition` answered.
    pub(super) fn wait_for<E>(
        self,
        clock: &impl Clock,
        mut condition: impl FnMut() -> Result<bool, E>,
    ) -> Result<bool, E> {
        let mut pause = Duration::from_micros(20);
        loop {
            if condition()? {
                return Ok(true);
            }
            let now = clock.elapsed();
            if now >= self.0 {
                return Ok(false);
            }
            clock.sleep(pause.min(self.0 - now));
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Longest time between two looks at a condition.
const PAUSE_MAX: Duration = Duration::from_millis(2);
