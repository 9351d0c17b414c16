use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use litefs_sim::cluster::Shrink;
use litefs_sim::cluster::plan::Plan;

use super::arguments::ShrinkOptions;
use super::job::Job;
use super::plan_file;
use super::pool::Pool;

/// Looks for the simplest plan that breaks the same promise, and writes it to a file.
pub(crate) fn shrink(options: &ShrinkOptions) -> anyhow::Result<ExitCode> {
    let plan = options.chosen.plan()?;
    let seed = plan.seed;
    let out = options.out.clone().unwrap_or_else(|| PathBuf::from(format!("shrunk-{seed}.json")));
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("cannot catch Ctrl-C")?;
    let mut pool = Pool::new(options.limit, &interrupted);
    let Some(first) = pool.run(&Job::Plan(Box::new(plan.clone())))? else { bail!("interrupted") };
    let Some(promise) = first.promise() else { bail!("seed {seed} keeps every promise: nothing to shrink") };
    println!("broken: {}", first.first_violation().unwrap_or_default());
    println!("{}", size(&plan));

    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    let (mut failed, mut tried) = (None, 0);
    // After Ctrl-C nothing breaks anything any more, and what was found so far is the result.
    let mut breaks = |plan: &Plan| match pool.run(&Job::Plan(Box::new(plan.clone()))) {
        Ok(outcome) => outcome.and_then(|outcome| outcome.promise()).as_ref() == Some(&promise),
        Err(error) => {
            failed.get_or_insert(error);
            interrupted.store(true, Ordering::Relaxed);
            false
        }
    };
    let mut tell = |tries, what: &str| {
        tried = tries;
        bar.set_message(format!("{tries} runs"));
        if !what.is_empty() {
            bar.suspend(|| println!("{tries:>5} runs: {what}"));
        }
    };
    let shrunk = Shrink::new(plan, options.attempts, &mut breaks, &mut tell).run();
    bar.finish_and_clear();
    if let Some(error) = failed {
        return Err(error);
    }
    plan_file::write(&out, &shrunk)?;
    let ended = if interrupted.load(Ordering::Relaxed) { "interrupted, so far" } else { "left" };
    println!("{ended} after {tried} runs: {}\n\n{shrunk}\n", size(&shrunk));
    let file = out.display();
    for command in ["replay", "view"] {
        println!("cargo run --release -p litefs-sim --features sim -- {command} --plan {file}");
    }
    Ok(ExitCode::SUCCESS)
}

fn size(plan: &Plan) -> String {
    format!(
        "{} faults, {} machines with {} programs each, {} ms",
        plan.faults.len(),
        plan.machines,
        plan.clients,
        plan.duration.as_millis()
    )
}
