use std::io::{BufRead, Write};
use std::process::ExitCode;

use litefs_sim::Keep;

use super::job::{Job, Outcome};

/// Runs job after job. A process of its own, because SQLite's random numbers are global to one.
pub(crate) fn work() -> anyhow::Result<ExitCode> {
    for line in std::io::stdin().lock().lines() {
        let outcome = Outcome::from(Job::from_line(&line?)?.run(Keep::Latest));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", outcome.to_line()?)?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}
