use std::fmt;

use serde::Serialize;

use crate::bench::Place;
use crate::sample::{Pair, median, range};

/// What a number counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub(crate) enum Unit {
    #[serde(rename = "us")]
    Microseconds,
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "per second")]
    PerSecond,
    #[serde(rename = "MB/s")]
    MegabytesPerSecond,
    #[serde(rename = "MB")]
    Megabytes,
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::PerSecond => "/s",
            Self::MegabytesPerSecond => "MB/s",
            Self::Megabytes => "MB",
        }
    }

    /// Whether more of it is better.
    fn is_rate(self) -> bool {
        matches!(self, Self::PerSecond | Self::MegabytesPerSecond)
    }
}

/// What is wanted of an outcome.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// At least so many times as fast as the baseline.
    Ratio(f64),
    /// At most so much above the baseline.
    Above(f64),
    AtMost(f64),
    AtLeast(f64),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratio(ratio) => write!(f, ">= {ratio:.2}x"),
            Self::Above(most) => write!(f, "<= +{most}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::AtLeast(least) => write!(f, ">= {least}"),
        }
    }
}

/// How often the speed of the baseline was reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Ratio {
    /// Of the medians.
    pub(crate) medians: f64,
    /// The smallest of a single repeat.
    pub(crate) min: f64,
    /// The largest of a single repeat.
    pub(crate) max: f64,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) what: String,
    pub(crate) place: &'static str,
    pub(crate) unit: Unit,
    /// The median of what litefs is compared to, if it is.
    pub(crate) baseline: Option<f64>,
    /// The median of litefs.
    pub(crate) litefs: f64,
    /// The smallest and the largest of litefs.
    pub(crate) litefs_range: (f64, f64),
    /// Above 1 litefs is faster.
    pub(crate) ratio: Option<Ratio>,
    #[serde(serialize_with = "target_as_text")]
    pub(crate) target: Option<Target>,
}

impl Outcome {
    /// Something that was measured on both sides.
    pub(crate) fn compared(what: impl Into<String>, place: Place, unit: Unit, pair: &Pair) -> Self {
        let speed = |baseline: f64, mount: f64| {
            if unit.is_rate() { mount / baseline } else { baseline / mount }
        };
        let (baseline, litefs) = (median(&pair.baseline), median(&pair.mount));
        let single: Vec<f64> =
            pair.baseline.iter().zip(&pair.mount).map(|(baseline, mount)| speed(*baseline, *mount)).collect();
        let (min, max) = range(&single);
        Self {
            baseline: Some(baseline),
            ratio: Some(Ratio { medians: speed(baseline, litefs), min, max }),
            ..Self::alone(what, place, unit, &pair.mount)
        }
    }

    /// Something that only litefs can do.
    pub(crate) fn alone(what: impl Into<String>, place: Place, unit: Unit, values: &[f64]) -> Self {
        Self {
            what: what.into(),
            place: place.name(),
            unit,
            baseline: None,
            litefs: median(values),
            litefs_range: range(values),
            ratio: None,
            target: None,
        }
    }

    pub(crate) fn with_target(self, target: impl Into<Option<Target>>) -> Self {
        Self { target: target.into(), ..self }
    }

    /// How much more than the baseline it is.
    pub(crate) fn difference(&self) -> Option<f64> {
        self.baseline.map(|baseline| self.litefs - baseline)
    }

    /// Whether the target is reached, if there is one.
    pub(crate) fn passes(&self) -> Option<bool> {
        Some(match self.target? {
            Target::Ratio(least) => self.ratio.is_some_and(|ratio| ratio.medians >= least),
            Target::Above(most) => self.difference().is_some_and(|difference| difference <= most),
            Target::AtMost(most) => self.litefs <= most,
            Target::AtLeast(least) => self.litefs >= least,
        })
    }
}

fn target_as_text<S: serde::Serializer>(target: &Option<Target>, serializer: S) -> Result<S::Ok, S::Error> {
    target.map(|target| target.to_string()).serialize(serializer)
}
