use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use litefs_sim::{Keep, cluster};

use super::arguments::ViewOptions;
use crate::view;

/// Runs one seed or plan and writes a page that shows it.
pub(crate) fn view(options: &ViewOptions) -> anyhow::Result<ExitCode> {
    let plan = options.chosen.plan()?;
    let out = options.out.clone().unwrap_or_else(|| PathBuf::from(format!("sim-{}.html", plan.seed)));
    let report = cluster::run(plan, Keep::All);
    std::fs::write(&out, view::page(&report)?).with_context(|| format!("cannot write {}", out.display()))?;
    match report.violations.first() {
        Some(violation) => println!("broken: {}", violation.lines().next().unwrap_or_default()),
        None => println!("every promise was kept"),
    }
    println!("{}", out.display());
    Ok(ExitCode::SUCCESS)
}
