use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::job::{Job, Outcome};

/// Lines that are kept of what a worker complains of.
const COMPLAINTS: usize = 40;

/// Runs jobs in another process, and in a new one when that dies or hangs.
#[derive(Debug)]
pub(crate) struct Pool<'a> {
    limit: Duration,
    /// The operator wants everything to end.
    interrupted: &'a AtomicBool,
    worker: Option<Worker>,
}

#[derive(Debug)]
struct Worker {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
    complaints: JoinHandle<VecDeque<String>>,
}

impl<'a> Pool<'a> {
    /// No process yet. A run that takes longer than `limit` hangs.
    pub(crate) fn new(limit: Duration, interrupted: &'a AtomicBool) -> Self {
        Self { limit, interrupted, worker: None }
    }

    /// What became of a job; `None` if everything is to end.
    pub(crate) fn run(&mut self, job: &Job) -> anyhow::Result<Option<Outcome>> {
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => Worker::start()?,
        };
        // If it is dead already, its output says so.
        let _: std::io::Result<()> = writeln!(worker.input, "{}", job.to_line()?);
        let began = Instant::now();
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                worker.end();
                return Ok(None);
            }
            match worker.output.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => {
                    self.worker = Some(worker);
                    return Outcome::from_line(&line).map(Some);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Ok(Some(Outcome::lost(format!("the simulator died: {}", worker.end()))));
                }
                Err(RecvTimeoutError::Timeout) if began.elapsed() > self.limit => {
                    worker.end();
                    return Ok(Some(Outcome::lost(format!("the simulator hangs for {:?}", self.limit))));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for Pool<'_> {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.end();
        }
    }
}

impl Worker {
    fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find the program's own file")?;
        let mut child = Command::new(&program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for the parent, which ends its workers in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three are piped");
        };
        let (lines, received) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let complaints = std::thread::spawn(move || last_lines(errors));
        Ok(Self { child, input, output: received, complaints })
    }

    /// Ends it, and says what it complained of.
    fn end(mut self) -> String {
        // Both fail only if it has ended.
        let _: std::io::Result<()> = self.child.kill();
        let status = self.child.wait();
        let lines = self.complaints.join().unwrap_or_default();
        let panic = lines.iter().position(|line| line.contains(" panicked at "));
        match (panic, status) {
            (Some(at), _) => lines.range(at..).take(2).cloned().collect::<Vec<_>>().join(" "),
            (None, Ok(status)) => status.to_string(),
            (None, Err(error)) => error.to_string(),
        }
    }
}

fn last_lines(errors: impl Read) -> VecDeque<String> {
    let mut kept = VecDeque::new();
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        if kept.len() == COMPLAINTS {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    kept
}
