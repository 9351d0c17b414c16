use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use litefs_sim::Scene;

use super::job::Outcome;

/// How many seeds are named in the end for each promise that was broken.
const COMMANDS: usize = 3;

/// What all seeds of a command came to.
#[derive(Debug)]
pub(crate) struct Ledger {
    of: Scene,
    done: u64,
    /// By promise, the seeds that broke it, and how the first did.
    broken: BTreeMap<String, (Vec<u64>, String)>,
    /// How often each probe fired, and in how many seeds.
    probes: BTreeMap<String, (u64, u64)>,
}

impl Ledger {
    /// Nothing has been run.
    pub(crate) fn new(of: Scene) -> Self {
        let probes = of.sometimes().iter().map(|name| ((*name).to_owned(), (0, 0))).collect();
        Self { of, done: 0, broken: BTreeMap::new(), probes }
    }

    /// A seed is done. Returns the lines to print.
    pub(crate) fn add(&mut self, seed: u64, outcome: &Outcome) -> Vec<String> {
        self.done += 1;
        for (name, times) in &outcome.probes {
            let (all, seeds) = self.probes.entry(name.clone()).or_default();
            (*all, *seeds) = (*all + times, *seeds + 1);
        }
        let hash = if outcome.hash.is_empty() { "----------------" } else { &outcome.hash };
        let mut lines = vec![format!("{seed} {hash}")];
        if let Some(violation) = outcome.first_violation() {
            lines.push(format!("  broken: {violation}"));
            if outcome.violations.len() > 1 {
                lines.push(format!("  and {} more", outcome.violations.len() - 1));
            }
            lines.push(format!("  {}", self.of.replay_command(seed)));
            let promise = outcome.promise().unwrap_or_default();
            self.broken.entry(promise).or_insert((Vec::new(), violation)).0.push(seed);
        }
        lines
    }

    /// How many seeds are done.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// How many of them broke a promise.
    pub(crate) fn broken(&self) -> usize {
        self.broken.values().map(|(seeds, _)| seeds.len()).sum()
    }

    /// In a few words, after so long.
    pub(crate) fn status(&self, elapsed: Duration) -> String {
        let per_minute = self.done as f64 * 60.0 / elapsed.as_secs_f64().max(0.001);
        let seen = self.probes.values().filter(|(times, _)| *times > 0).count();
        format!(
            "{} seeds, {per_minute:.0} a minute, {} broken, {seen} of {} probes seen",
            self.done,
            self.broken(),
            self.probes.len()
        )
    }

    /// All there is to say in the end.
    pub(crate) fn summary(&self, elapsed: Duration) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING).set_header(["probe", "times", "seeds", ""]);
        for column in table.column_iter_mut().skip(1).take(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for (name, (times, seeds)) in &self.probes {
            let mark = if *times == 0 { "NEVER" } else { "" };
            table.add_row([name.as_str(), &times.to_string(), &seeds.to_string(), mark]);
        }
        let mut text = format!("\n{table}\n\n{}", self.status(elapsed));
        for (seeds, violation) in self.broken.values() {
            let _: std::fmt::Result = write!(text, "\n\n{} seeds: {violation}", seeds.len());
            for seed in seeds.iter().take(COMMANDS) {
                let _: std::fmt::Result = write!(text, "\n  {}", self.of.replay_command(*seed));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_with_the_command_and_silent_probes_are_marked() {
        let mut ledger = Ledger::new(Scene::Machine);
        let fine = Outcome { hash: "00000000000000aa".to_owned(), ..Outcome::default() };
        assert_eq!(ledger.add(3, &fine), ["3 00000000000000aa"]);
        let probes = BTreeMap::from([("kill".to_owned(), 2)]);
        let lines = ledger.add(4, &Outcome { probes, ..Outcome::lost("gone".to_owned()) });
        assert_eq!(lines[..2], ["4 ----------------", "  broken: gone"]);
        assert!(lines[2].ends_with("replay --of machine 4"), "{lines:?}");
        let summary = ledger.summary(Duration::from_secs(60));
        let line = |name: &str| summary.lines().find(|line| line.contains(name)).unwrap().to_owned();
        assert!(line("lying sync").contains("NEVER") && !line("kill").contains("NEVER"), "{summary}");
        assert!(summary.contains("2 seeds, 2 a minute, 1 broken, 1 of 17 probes seen"), "{summary}");
    }
}
