use std::time::SystemTime;

use litefs_core::Now;
use rustix::time::{ClockId, clock_gettime};

/// Reads both clocks.
///
/// The monotonic one is the one that goes on while the machine is suspended: a lease does, too.
pub fn now() -> Now {
    let boot = clock_gettime(ClockId::Boottime);
    let monotonic_ns = boot.tv_sec.unsigned_abs() * 1_000_000_000 + boot.tv_nsec.unsigned_abs();
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { monotonic_ns, wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX) }
}
