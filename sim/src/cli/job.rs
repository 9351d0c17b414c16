//! What a worker is asked and what it answers, each in one line.

use std::collections::BTreeMap;

use anyhow::Context;
use litefs_sim::cluster::plan::Plan;
use litefs_sim::{Ended, Keep, Scene, cluster};
use serde::{Deserialize, Serialize};

/// Something to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Job {
    /// A seed.
    Seed {
        /// Of what.
        of: Scene,
        /// The seed.
        seed: u64,
    },
    /// A plan of a cluster.
    Plan(Box<Plan>),
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The hash of the trace; nothing if the run did not come to its end.
    pub(crate) hash: String,
    /// The promises that were broken.
    pub(crate) violations: Vec<String>,
    /// How often each thing happened that must happen sometimes.
    pub(crate) probes: BTreeMap<String, u64>,
}

impl Job {
    /// Runs it in this process.
    pub(crate) fn run(self, keep: Keep) -> Ended {
        match self {
            Self::Seed { of, seed } => of.run(seed, keep),
            Self::Plan(plan) => cluster::run(*plan, keep).into(),
        }
    }

    /// As a line without its end.
    pub(crate) fn to_line(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// The job in a line.
    pub(crate) fn from_line(line: &str) -> anyhow::Result<Self> {
        serde_json::from_str(line).with_context(|| format!("not a job: {line}"))
    }
}

impl Outcome {
    /// That a run did not come to its end.
    pub(crate) fn lost(why: String) -> Self {
        Self { violations: vec![why], ..Self::default() }
    }

    /// As a line without its end.
    pub(crate) fn to_line(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// The outcome in a line.
    pub(crate) fn from_line(line: &str) -> anyhow::Result<Self> {
        serde_json::from_str(line).with_context(|| format!("not an outcome: {line}"))
    }

    /// The promise that was broken first, in one line.
    pub(crate) fn first_violation(&self) -> Option<String> {
        self.violations.first().map(|violation| one_line(violation))
    }

    /// What tells the promise that was broken first from other promises: its text without its numbers.
    pub(crate) fn promise(&self) -> Option<String> {
        self.violations.first().map(|violation| without_numbers(violation))
    }
}

impl From<Ended> for Outcome {
    fn from(ended: Ended) -> Self {
        let probes = ended.probes.into_iter().map(|(name, times)| (name.to_owned(), times)).collect();
        Self { hash: ended.hash.to_string(), violations: ended.violations, probes }
    }
}

/// `text` with every run of white space as one blank, cut where nobody reads on.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line,
    }
}

/// The first line of `text` with `#` for each number, decimal or hexadecimal.
fn without_numbers(text: &str) -> String {
    let mut result = String::new();
    let mut word = String::new();
    for letter in text.lines().next().unwrap_or_default().chars().chain(['\n']) {
        if letter.is_alphanumeric() {
            word.push(letter);
            continue;
        }
        let is_hex = word.chars().all(|letter| letter.is_ascii_hexdigit());
        if is_hex && word.chars().any(|letter| letter.is_ascii_digit()) {
            result.push('#');
        } else {
            // A number within a word, as in n3.
            let mut digits = false;
            for letter in word.chars() {
                if !letter.is_ascii_digit() {
                    result.push(letter);
                } else if !digits {
                    result.push('#');
                }
                digits = letter.is_ascii_digit();
            }
        }
        word.clear();
        result.push(letter);
    }
    result.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_survive_the_line() {
        let there = Job::Seed { of: Scene::Machine, seed: u64::MAX }.to_line().unwrap();
        assert_eq!(there, r#"{"seed":{"of":"machine","seed":18446744073709551615}}"#);
        assert_eq!(Job::from_line(&there).unwrap().to_line().unwrap(), there);
        for seed in 1..200 {
            let plan = Plan::of_seed(seed);
            let line = Job::Plan(Box::new(plan.clone())).to_line().unwrap();
            assert!(!line.contains('\n'));
            let Job::Plan(back) = Job::from_line(&line).unwrap() else { panic!("{line}") };
            assert_eq!(format!("{back:?}"), format!("{plan:?}"));
        }
        assert!(Job::from_line("5").is_err());
    }

    #[test]
    fn outcomes_survive_the_line() {
        let outcome = Outcome {
            hash: "0123456789abcdef".to_owned(),
            violations: vec!["two\nlines \"and\" </script>".to_owned()],
            probes: BTreeMap::from([("kill".to_owned(), 3)]),
        };
        let line = outcome.to_line().unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(Outcome::from_line(&line).unwrap(), outcome);
        assert_eq!(outcome.first_violation().unwrap(), "two lines \"and\" </script>");
    }

    #[test]
    fn a_promise_is_the_same_with_other_numbers() {
        let promise = |text: &str| Outcome::lost(text.to_owned()).promise().unwrap();
        assert_eq!(
            promise("a.db commits 00000000000000f6/ab12 while Some(3) holds the lease"),
            "a.db commits #/# while Some(#) holds the lease"
        );
        assert_eq!(promise("n12 is bad\nand more"), "n# is bad");
        assert_ne!(promise("a.db is at 5"), promise("b.db is at 5"));
    }

    #[test]
    fn long_violations_are_cut() {
        let long = Outcome::lost("ä ".repeat(1000)).first_violation().unwrap();
        assert!(long.ends_with(" ...") && long.chars().count() == 304);
    }
}
