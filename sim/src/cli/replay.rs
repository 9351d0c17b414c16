use std::io::Write;
use std::process::ExitCode;

use anyhow::ensure;
use litefs_sim::{Entry, Keep, Scene};

use super::arguments::ReplayOptions;
use super::filter::Filter;
use super::job::Job;
use super::paint::Paint;
use super::plan_file;

/// Runs one seed or plan and prints what happens, as it happens: a simulator that dies leaves its last words.
pub(crate) fn replay(options: ReplayOptions) -> anyhow::Result<ExitCode> {
    let of = options.scene.of;
    ensure!(options.chosen.plan.is_none() || of == Scene::Cluster, "a plan in a file is that of a cluster");
    let (job, plan) = match (&options.chosen.plan, options.chosen.seed) {
        (Some(path), _) => {
            let plan = plan_file::read(path)?;
            let text = plan.to_string();
            (Job::Plan(Box::new(plan)), text)
        }
        (None, seed) => {
            let seed = seed.unwrap_or_default();
            (Job::Seed { of, seed }, of.plan(seed))
        }
    };
    say(&format!("{plan}\n"));
    let (paint, mut filter) = (Paint::of_stdout(), Filter::new(options.all));
    let tell = move |entry: &Entry| {
        if filter.shows(entry) {
            say(&paint.event(entry));
        }
    };
    let ended = job.run(Keep::Told(Box::new(tell)));
    say("");
    for violation in &ended.violations {
        say(&paint.bad(&format!("broken: {violation}")));
    }
    if ended.violations.is_empty() {
        say("every promise was kept");
    }
    say(&format!("{} events, trace {}", ended.events, ended.hash));
    Ok(if ended.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints a line. Ends in silence when nobody reads on, as after `| head`.
fn say(line: &str) {
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        std::process::exit(0);
    }
}
