use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use crate::arguments::Arguments;
use crate::sample::Pair;

/// Where files are kept while they are measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Disk,
    Memory,
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }
}

/// One of the two that are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// What litefs is compared to: mostly the bare disk.
    Baseline,
    Mount,
}

/// What all workloads need to know.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) scale: f64,
    pub(crate) repeats: usize,
    disk: PathBuf,
    memory: PathBuf,
    only: Option<Place>,
}

impl Bench {
    pub(crate) fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        let scale = arguments.scale();
        anyhow::ensure!(scale > 0.0 && scale.is_finite(), "the scale is {scale}; it must be more than 0");
        let only = arguments.place.as_deref().map(|name| match name {
            "disk" => Place::Disk,
            _ => Place::Memory,
        });
        Ok(Self {
            scale,
            repeats: arguments.repeats(),
            disk: arguments.dir.clone(),
            memory: arguments.memory_dir.clone(),
            only,
        })
    }

    /// A count of something, scaled, and at least `least`.
    pub(crate) fn count(&self, full: u64, least: u64) -> u64 {
        ((full as f64 * self.scale) as u64).max(least)
    }

    /// A time to do something for, scaled, and at least 50 ms.
    pub(crate) fn duration(&self, full: Duration) -> Duration {
        full.mul_f64(self.scale.min(1.0)).max(Duration::from_millis(50))
    }

    /// The places to measure in, for what can be measured in both.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.only.map_or_else(|| vec![Place::Disk, Place::Memory], |only| vec![only])
    }

    /// A new directory, which goes with the value.
    pub(crate) fn directory(&self, place: Place) -> anyhow::Result<TempDir> {
        let parent = match place {
            Place::Disk => &self.disk,
            Place::Memory => &self.memory,
        };
        let made = tempfile::Builder::new().prefix("litefs-bench.").tempdir_in(parent);
        made.with_context(|| format!("cannot make a directory in {}", parent.display()))
    }

    /// Measures both sides in turns, in reverse order every other time, so that what happens to the machine
    /// meanwhile happens to both. `warm` rounds come before that do not count.
    pub(crate) fn interleave(
        &self,
        warm: usize,
        mut measure: impl FnMut(Side) -> anyhow::Result<f64>,
    ) -> anyhow::Result<Pair> {
        let mut pair = Pair::default();
        for round in 0..warm + self.repeats {
            let sides = match round % 2 {
                0 => [Side::Baseline, Side::Mount],
                _ => [Side::Mount, Side::Baseline],
            };
            for side in sides {
                let value = measure(side)?;
                if round >= warm {
                    pair.push(side, value);
                }
            }
        }
        Ok(pair)
    }
}
