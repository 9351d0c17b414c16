use std::fmt;
use std::fs;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde_json::json;

use crate::bench::Bench;
use crate::outcome::Outcome;

/// What all workloads found, and on what kind of machine.
#[derive(Debug)]
pub(crate) struct Report {
    scale: f64,
    repeats: usize,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    workload: &'static str,
    outcome: Outcome,
    /// Processes that wanted to run in the last minute, when it was measured.
    load: f64,
}

impl Report {
    pub(crate) fn new(bench: &Bench) -> Self {
        Self { scale: bench.scale, repeats: bench.repeats, lines: Vec::new() }
    }

    pub(crate) fn add(&mut self, workload: &'static str, outcomes: Vec<Outcome>) {
        let load = load();
        self.lines.extend(outcomes.into_iter().map(|outcome| Line { workload, outcome, load }));
    }

    pub(crate) fn json(&self) -> serde_json::Result<String> {
        let lines: Vec<_> = self
            .lines
            .iter()
            .map(|Line { workload, outcome, load }| {
                json!({
                    "workload": workload, "load": load, "outcome": outcome,
                    "difference": outcome.difference(), "passes": outcome.passes(),
                })
            })
            .collect();
        serde_json::to_string_pretty(&json!({
            "kernel": kernel(), "cpus": cpus(), "scale": self.scale, "repeats": self.repeats, "results": lines,
        }))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(NOTHING).set_header([
            "what", "on", "baseline", "litefs", "", "more", "ratio", "min..max", "target", "", "load",
        ]);
        for Line { outcome, load, .. } in &self.lines {
            let number = |value: f64| Rounded(value).to_string();
            let verdict = match outcome.passes() {
                Some(true) => "pass",
                Some(false) => "MISS",
                None => "",
            };
            let (min, max) = outcome.litefs_range;
            table.add_row([
                outcome.what.clone(),
                outcome.place.to_owned(),
                outcome.baseline.map(number).unwrap_or_default(),
                number(outcome.litefs),
                outcome.unit.name().to_owned(),
                outcome.difference().map(|more| format!("{:+}", Rounded(more))).unwrap_or_default(),
                outcome.ratio.map(|ratio| format!("{:.2}x", ratio.medians)).unwrap_or_default(),
                outcome.ratio.map_or_else(
                    || format!("{}..{}", number(min), number(max)),
                    |ratio| format!("{:.2}..{:.2}x", ratio.min, ratio.max),
                ),
                outcome.target.map(|target| target.to_string()).unwrap_or_default(),
                verdict.to_owned(),
                format!("{load:.1}"),
            ]);
        }
        for column in [2, 3, 5, 6, 10] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(f, "{table}")?;
        writeln!(
            f,
            "Linux {}, {} processors; {} repeats; medians; a ratio above 1 is faster than the baseline.",
            kernel(),
            cpus(),
            self.repeats
        )?;
        if (self.scale - 1.0).abs() > f64::EPSILON {
            writeln!(f, "Sizes and counts are multiplied by {}: the targets are for 1.", self.scale)?;
        }
        if self.lines.iter().any(|line| line.load > cpus() as f64) {
            writeln!(f, "The machine was busy with other things (load above its processors).")?;
        }
        Ok(())
    }
}

/// One digit behind the point for small numbers, none for large ones.
struct Rounded(f64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.0.abs() < 100.0 { 1 } else { 0 };
        if f.sign_plus() { write!(f, "{:+.digits$}", self.0) } else { write!(f, "{:.digits$}", self.0) }
    }
}

fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}
