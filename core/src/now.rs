/// The moment something happens, as the driver read its clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic clock in nanoseconds since an arbitrary start. Leases are measured by it.
    pub monotonic_ns: u64,
    /// Wall clock in milliseconds since the Unix epoch. It stamps transactions and decides nothing.
    pub wall_ms: i64,
}
