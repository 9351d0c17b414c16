use core::time::Duration;

/// Time that only goes forward.
pub trait Clock {
    /// The time that has passed since a moment that stays the same.
    fn elapsed(&self) -> Duration;

    /// Waits for `duration`, in which others go on.
    fn sleep(&self, duration: Duration);
}
