use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use litefs_net::{Client, ClientError};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::UsageError;
use super::client::{NodeUrl, block_on};
use super::halt_lock::HaltLock;
use crate::exec::CommandLine;

const NOT_ELIGIBLE: u16 = 409;
/// What a shell adds to the number of the signal that ended a program.
const SIGNAL_BASE: i32 = 128;
const PROMOTION_TIMEOUT: Duration = Duration::from_secs(10);
const PROMOTION_POLL: Duration = Duration::from_millis(50);

/// Runs a program against a node that is already mounted
///
/// The exit code is that of the program; 128 and its number if a signal ended it.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    node: NodeUrl,

    /// Make the node primary first
    #[arg(long)]
    promote: bool,

    /// Do nothing, and succeed, unless the node may become primary
    #[arg(long)]
    if_candidate: bool,

    /// Hold back all other writers of this database while the program runs
    #[arg(long, value_name = "DBPATH")]
    with_halt_lock_on: Option<PathBuf>,

    /// Tell on standard error what is done
    #[arg(short)]
    verbose: bool,

    #[arg(hide = true)]
    stray: Vec<OsString>,

    /// The program and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Run {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        if !self.stray.is_empty() {
            return Err(UsageError::TooManyArguments.into());
        }
        if self.command.is_empty() {
            return Err(UsageError::NoCommand.into());
        }
        if self.promote && self.with_halt_lock_on.is_some() {
            return Err(UsageError::PromoteAndHalt.into());
        }
        let (command, ignored) = CommandLine::from_arguments(&self.command).map_err(UsageError::from)?;
        if let Some(ignored) = ignored {
            eprintln!("WARNING: {ignored:?} is ignored, there is no shell; write sh -c '…' if you mean one");
        }
        // Taken before the runtime starts: a signal that comes while it is awaited ends this program.
        let halt_lock = self.with_halt_lock_on.as_deref().map(HaltLock::acquire).transpose()?;
        if halt_lock.is_some() {
            self.tell(format_args!("halt lock acquired"));
        }
        block_on(async {
            if (self.promote || self.if_candidate) && !self.prepare_node().await? {
                eprintln!("node is not a candidate, skipping execution");
                return Ok(ExitCode::SUCCESS);
            }
            self.tell(format_args!("executing {command}"));
            let code = run_to_the_end(&command).await?;
            drop(halt_lock);
            Ok(ExitCode::from(code))
        })
    }

    /// Makes the node primary if that is asked for; false if it is no candidate.
    async fn prepare_node(&self) -> anyhow::Result<bool> {
        let client = self.node.client()?;
        let info = client.info().await.context("cannot ask the node what it is")?;
        if !info.candidate {
            return Ok(false);
        }
        if !self.promote || info.is_primary {
            return Ok(true);
        }
        self.tell(format_args!("asking the node to become primary"));
        match client.promote().await {
            Ok(()) => {}
            Err(ClientError::Refused { status: NOT_ELIGIBLE, .. }) => return Ok(false),
            Err(error) => return Err(error).context("cannot promote the node"),
        }
        // The node answers before it is primary, and the program is there to write.
        tokio::time::timeout(PROMOTION_TIMEOUT, until_primary(&client))
            .await
            .with_context(|| format!("the node is not primary after {PROMOTION_TIMEOUT:?}"))??;
        Ok(true)
    }

    fn tell(&self, message: std::fmt::Arguments<'_>) {
        if self.verbose {
            eprintln!("{message}");
        }
    }
}

async fn until_primary(client: &Client) -> Result<(), ClientError> {
    while !client.info().await?.is_primary {
        tokio::time::sleep(PROMOTION_POLL).await;
    }
    Ok(())
}

/// Runs the program on our standard streams, hands signals on to it, and returns the exit code it stands for.
async fn run_to_the_end(command: &CommandLine) -> anyhow::Result<u8> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // The terminal sends what its keys mean to the program as well.
    let at_terminal = io::stdin().is_terminal();
    let mut child = Command::new(command.program())
        .args(command.arguments())
        .spawn()
        .with_context(|| format!("cannot start command `{command}`"))?;
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let status = loop {
        let signal = tokio::select! {
            status = child.wait() => break status.context("cannot wait for the command")?,
            _ = terminate.recv() => Signal::TERM,
            _ = interrupt.recv(), if !at_terminal => Signal::INT,
        };
        if let Some(pid) = pid {
            kill_process(pid, signal)?;
        }
    };
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNAL_BASE + signal));
    // The system hands on the low eight bits only.
    Ok(code.map_or(1, |code| code as u8))
}
