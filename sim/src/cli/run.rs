use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::arguments::RunOptions;
use super::job::{Job, Outcome};
use super::ledger::Ledger;
use super::pool::Pool;

/// Seeds of a run that says neither how many nor for how long.
const SEEDS: u64 = 100;

/// What the threads that feed the workers share.
#[derive(Debug)]
struct Queue {
    next: AtomicU64,
    end: u64,
    until: Option<Instant>,
}

/// Runs many seeds.
pub(crate) fn run(options: &RunOptions) -> anyhow::Result<ExitCode> {
    let from = options.from.unwrap_or_else(random_seed);
    let count = match (options.seeds, options.time) {
        (Some(seeds), _) => seeds,
        (None, Some(_)) => u64::MAX,
        (None, None) => SEEDS,
    };
    let began = Instant::now();
    let queue = Queue {
        next: AtomicU64::new(from),
        end: from.saturating_add(count),
        until: options.time.map(|time| began + time),
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("cannot catch Ctrl-C")?;
    println!("seeds of {} from {from}", options.scene.of.name());
    let mut ledger = Ledger::new(options.scene.of);
    let bar = status_line();
    std::thread::scope(|scope| {
        let (results, received) = channel();
        for _ in 0..options.jobs {
            let (queue, interrupted, results) = (&queue, &*interrupted, results.clone());
            scope.spawn(move || feed(queue, options, interrupted, &results));
        }
        drop(results);
        let mut written = Ok(());
        loop {
            let result = match received.recv_timeout(Duration::from_millis(200)) {
                Ok(result) => Some(result),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Some(result) = result {
                let done = result.map(|(seed, outcome)| ledger.add(seed, &outcome));
                written = done.and_then(|lines| Ok(bar.suspend(|| print(&lines))?));
                if written.is_err() {
                    interrupted.store(true, Ordering::Relaxed);
                    break;
                }
            }
            bar.set_message(ledger.status(began.elapsed()));
        }
        written
    })?;
    bar.finish_and_clear();
    if interrupted.load(Ordering::Relaxed) {
        println!("interrupted");
    }
    print(&[ledger.summary(began.elapsed())])?;
    let fine = ledger.broken() == 0 && ledger.done() > 0;
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Hands seed after seed to a worker.
fn feed(
    queue: &Queue,
    options: &RunOptions,
    interrupted: &AtomicBool,
    results: &Sender<anyhow::Result<(u64, Outcome)>>,
) {
    let mut pool = Pool::new(options.limit, interrupted);
    while queue.until.is_none_or(|until| Instant::now() < until) {
        let seed = queue.next.fetch_add(1, Ordering::Relaxed);
        if seed >= queue.end {
            return;
        }
        let result = match pool.run(&Job::Seed { of: options.scene.of, seed }) {
            Ok(Some(outcome)) => Ok((seed, outcome)),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let failed = result.is_err();
        if results.send(result).is_err() || failed {
            return;
        }
    }
}

/// The line that stays at the bottom of a terminal; nothing anywhere else.
fn status_line() -> ProgressBar {
    if !std::io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn print(lines: &[String]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    out.flush()
}

/// A seed that is short enough to be typed.
fn random_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_micros()) * 1000 + now.as_secs() % 1000 * 1_000_000_000
}
