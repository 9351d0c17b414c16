use std::path::Path;

use anyhow::Context;
use litefs_sim::cluster::plan::Plan;

use super::arguments::Chosen;

/// The plan in a file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Plan> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the plan {name}"))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{name} is not a plan of this version: write it again with `shrink`"))
}

/// Writes a plan so that a person can change it.
pub(crate) fn write(path: &Path, plan: &Plan) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(plan)?;
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

impl Chosen {
    /// The plan of a cluster that was chosen.
    pub(crate) fn plan(&self) -> anyhow::Result<Plan> {
        match (&self.plan, self.seed) {
            (Some(path), _) => read(path),
            (None, Some(seed)) => Ok(Plan::of_seed(seed)),
            (None, None) => anyhow::bail!("name a seed, or a file with --plan"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let path = std::env::temp_dir().join(format!("litefs-sim-plan-{}.json", std::process::id()));
        for seed in [1, 2, 3] {
            let plan = Plan::of_seed(seed);
            write(&path, &plan).unwrap();
            assert_eq!(format!("{:?}", read(&path).unwrap()), format!("{plan:?}"));
        }
        std::fs::write(&path, "{}").unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("write it again"), "{error}");
        std::fs::remove_file(&path).unwrap();
    }
}
