use std::time::Duration;

use crate::bench::Side;

/// Durations of one operation, done many times.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn push(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    /// The latency that so many per cent of the operations do not exceed, in microseconds.
    pub(crate) fn percentile_us(&mut self, percent: f64) -> f64 {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let at = (last as f64 * percent / 100.0).round() as usize;
        self.0.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
    }
}

/// What was measured on both sides, in the order of the repeats.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pair {
    pub(crate) baseline: Vec<f64>,
    pub(crate) mount: Vec<f64>,
}

impl Pair {
    pub(crate) fn push(&mut self, side: Side, value: f64) {
        match side {
            Side::Baseline => self.baseline.push(value),
            Side::Mount => self.mount.push(value),
        }
    }
}

/// The middle value; of an even number of them, the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The smallest and the largest value.
pub(crate) fn range(values: &[f64]) -> (f64, f64) {
    let smallest = values.iter().copied().fold(f64::NAN, f64::min);
    let largest = values.iter().copied().fold(f64::NAN, f64::max);
    (smallest, largest)
}
