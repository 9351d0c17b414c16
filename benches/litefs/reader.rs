//! A process that reads beside a writer.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use crate::data::{Numbers, open};

/// Reads single rows until standard input ends, and then prints how many.
pub(crate) fn run(path: &Path) -> anyhow::Result<()> {
    let connection = open(path, "wal", "normal")?;
    let rows: i64 = connection.query_row("SELECT max(id) FROM item", (), |row| row.get(0))?;
    let mut read = connection.prepare("SELECT length(content) FROM item WHERE id = ?1")?;
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    // The first byte starts it, the end stops it: so all readers read at the same time.
    io::stdin().read_exact(&mut [0])?;
    std::thread::spawn(move || {
        let _ = io::stdin().read(&mut [0]);
        stop.store(true, Ordering::Relaxed);
    });
    let mut numbers = Numbers::new();
    let mut count = 0_u64;
    while !stopped.load(Ordering::Relaxed) {
        let id = numbers.below(rows.cast_unsigned()).cast_signed();
        read.query_row([id], |row| row.get::<_, i64>(0))?;
        count += 1;
    }
    writeln!(io::stdout(), "{count}")?;
    Ok(())
}

/// A reading process, seen from the one that started it.
#[derive(Debug)]
pub(crate) struct Reader(Child);

impl Reader {
    pub(crate) fn spawn(path: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--reader").arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self(command.spawn().context("cannot start a reader")?))
    }

    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let input = self.0.stdin.as_mut().context("a reader has no standard input")?;
        Ok(input.write_all(b"\n")?)
    }

    /// Stops it and returns how many rows it read.
    pub(crate) fn stop(mut self) -> anyhow::Result<u64> {
        drop(self.0.stdin.take());
        let output = self.0.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().with_context(|| format!("a reader ended with {}", output.status))
    }
}
