use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use rustix::system::uname;
use tokio::process::{Child, Command};

use super::{CommandLine, ExecEntry, MainExit};

/// Runs the `exec` list: all entries but the last one after another, the last one for as long as it lives.
///
/// It only starts, watches and signals programs. What their end means for the node is decided by the caller, who can
/// therefore always unmount first.
#[derive(Debug)]
pub(crate) struct Supervisor {
    setup: Vec<ExecEntry>,
    main: Option<ExecEntry>,
    candidate: bool,
    main_child: Option<(CommandLine, Child)>,
    running: SignalForwarder,
}

impl Supervisor {
    /// A supervisor of these entries. Those for candidates are left out unless this node is one.
    pub(crate) fn new(mut entries: Vec<ExecEntry>, candidate: bool) -> Self {
        let main = entries.pop();
        Self { setup: entries, main, candidate, main_child: None, running: SignalForwarder::default() }
    }

    /// Runs all entries but the last, one after another, and stops at the first that fails.
    ///
    /// A program that is running when the future is dropped goes on; hand it a signal and await the future to the end
    /// instead.
    pub(crate) async fn run_setup(&mut self) -> Result<(), ExecError> {
        for entry in std::mem::take(&mut self.setup) {
            if self.is_left_out(&entry) {
                continue;
            }
            let mut child = self.spawn(&entry.command)?;
            let status = self.running.reap(&mut child).await;
            let command = entry.command;
            match status {
                Ok(status) if status.success() => {}
                Ok(status) => return Err(ExecError::Setup { command, status }),
                Err(source) => return Err(ExecError::Wait { command, source }),
            }
        }
        Ok(())
    }

    /// Starts the last entry; false if there is none or it is left out on this node.
    pub(crate) fn spawn_main(&mut self) -> Result<bool, ExecError> {
        let Some(entry) = self.main.take() else { return Ok(false) };
        if self.is_left_out(&entry) {
            return Ok(false);
        }
        let child = self.spawn(&entry.command)?;
        self.main_child = Some((entry.command, child));
        Ok(true)
    }

    /// Waits until the last entry ends; for ever if it was not started. Dropping the future loses nothing.
    pub(crate) async fn wait(&mut self) -> Result<MainExit, ExecError> {
        let Some((command, child)) = &mut self.main_child else { return std::future::pending().await };
        let status = self.running.reap(child).await;
        status.map(MainExit::of).map_err(|source| ExecError::Wait { command: command.clone(), source })
    }

    /// Hands signals on to whichever program of this list is running, also while [`Self::run_setup`] or
    /// [`Self::wait`] is awaited.
    pub(crate) fn forwarder(&self) -> SignalForwarder {
        self.running.clone()
    }

    fn is_left_out(&self, entry: &ExecEntry) -> bool {
        let left_out = entry.if_candidate && !self.candidate;
        if left_out {
            tracing::info!(command = %entry.command, "not a candidate, skipping command execution");
        }
        left_out
    }

    fn spawn(&self, command: &CommandLine) -> Result<Child, ExecError> {
        let mut builder = Command::new(command.program());
        builder.args(command.arguments()).stdin(Stdio::null());
        // A login shell sets it, a container often does not, and programs name themselves by it.
        if std::env::var_os("HOSTNAME").is_none_or(|hostname| hostname.is_empty()) {
            builder.env("HOSTNAME", OsStr::from_bytes(uname().nodename().to_bytes()));
        }
        tracing::info!(%command, "executing");
        let child =
            builder.spawn().map_err(|source| ExecError::Start { command: command.clone(), source })?;
        self.running.watch(&child);
        Ok(child)
    }
}

/// Hands signals on to the program a [`Supervisor`] is running.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignalForwarder {
    /// The program, until it is reaped: after that its number may be another's.
    pid: Arc<Mutex<Option<Pid>>>,
}

impl SignalForwarder {
    /// Sends a signal; false if no program is running.
    pub(crate) fn forward(&self, signal: Signal) -> io::Result<bool> {
        // The lock is held until the signal is sent, so that the program cannot be forgotten in between.
        let pid = self.pid.lock().unwrap_or_else(PoisonError::into_inner);
        match *pid {
            Some(pid) => kill_process(pid, signal).map(|()| true).map_err(io::Error::from),
            None => Ok(false),
        }
    }

    fn watch(&self, child: &Child) {
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        *self.pid.lock().unwrap_or_else(PoisonError::into_inner) = pid;
    }

    async fn reap(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let status = child.wait().await;
        *self.pid.lock().unwrap_or_else(PoisonError::into_inner) = None;
        status
    }
}

/// Why a program of the list did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecError {
    #[error("cannot exec: cannot start command `{command}`")]
    Start { command: CommandLine, source: io::Error },
    #[error("cannot exec: sync cmd: cannot run command `{command}`: {status}")]
    Setup { command: CommandLine, status: ExitStatus },
    #[error("cannot wait for exec process `{command}`")]
    Wait { command: CommandLine, source: io::Error },
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn entry(script: &str, if_candidate: bool) -> ExecEntry {
        let arguments = ["sh", "-c", script].map(Into::into);
        ExecEntry { command: CommandLine::from_arguments(&arguments).unwrap().0, if_candidate }
    }

    fn supervisor(scripts: &[&str]) -> Supervisor {
        let entries = scripts.iter().map(|script| entry(script, false)).collect();
        Supervisor::new(entries, true)
    }

    async fn until_exists(path: &Path) {
        let waiting = async {
            while !path.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the program never started");
    }

    #[tokio::test]
    async fn entries_before_the_last_run_in_order_and_to_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let log = log.to_str().unwrap();
        let mut supervisor = supervisor(&[
            &format!("sleep 0.05; echo first >> {log}"),
            &format!("echo second >> {log}"),
            &format!("echo main >> {log}; exit 7"),
        ]);
        supervisor.run_setup().await.unwrap();
        assert_eq!(std::fs::read_to_string(log).unwrap(), "first\nsecond\n");

        assert!(supervisor.spawn_main().unwrap());
        assert_eq!(supervisor.wait().await.unwrap(), MainExit::Code(7));
        assert_eq!(std::fs::read_to_string(log).unwrap(), "first\nsecond\nmain\n");
    }

    #[tokio::test]
    async fn setup_entry_that_fails_stops_the_list() {
        let dir = tempfile::tempdir().unwrap();
        let never = dir.path().join("never");
        let mut supervisor = supervisor(&["exit 3", &format!("touch {}", never.display()), "exit 0"]);
        let error = supervisor.run_setup().await.unwrap_err().to_string();
        assert_eq!(error, "cannot exec: sync cmd: cannot run command `sh -c exit 3`: exit status: 3");
        assert!(!never.exists());
    }

    #[tokio::test]
    async fn program_that_does_not_exist_is_named() {
        let arguments = ["/nonexistent/program".into(), "--flag".into()];
        let command = CommandLine::from_arguments(&arguments).unwrap().0;
        let mut supervisor = Supervisor::new(vec![ExecEntry { command, if_candidate: false }], true);
        let error = supervisor.spawn_main().unwrap_err().to_string();
        assert_eq!(error, "cannot exec: cannot start command `/nonexistent/program --flag`");
    }

    #[tokio::test]
    async fn entries_for_candidates_are_left_out_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let [setup, main] = ["setup", "main"].map(|name| dir.path().join(name));
        let entries = [&setup, &main].map(|path| entry(&format!("touch {}", path.display()), true)).to_vec();

        let mut replica = Supervisor::new(entries.clone(), false);
        replica.run_setup().await.unwrap();
        assert!(!replica.spawn_main().unwrap());
        assert!(!setup.exists() && !main.exists());

        let mut candidate = Supervisor::new(entries, true);
        candidate.run_setup().await.unwrap();
        assert!(candidate.spawn_main().unwrap());
        assert_eq!(candidate.wait().await.unwrap(), MainExit::Code(0));
        assert!(setup.exists() && main.exists());
    }

    #[tokio::test]
    async fn without_a_main_program_the_wait_never_ends() {
        let mut supervisor = supervisor(&[]);
        supervisor.run_setup().await.unwrap();
        assert!(!supervisor.spawn_main().unwrap());
        let ended = tokio::time::timeout(Duration::from_millis(50), supervisor.wait()).await;
        assert!(ended.is_err());
    }

    #[tokio::test]
    async fn signal_reaches_the_main_program() {
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready");
        let script = format!("trap 'exit 9' TERM; touch {}; while :; do sleep 0.01; done", ready.display());
        let mut supervisor = supervisor(&[&script]);
        let forwarder = supervisor.forwarder();
        assert!(!forwarder.forward(Signal::TERM).unwrap());

        assert!(supervisor.spawn_main().unwrap());
        until_exists(&ready).await;
        assert!(forwarder.forward(Signal::TERM).unwrap());
        assert_eq!(supervisor.wait().await.unwrap(), MainExit::Code(9));
        assert!(!forwarder.forward(Signal::TERM).unwrap());
    }

    #[tokio::test]
    async fn signal_reaches_a_setup_program() {
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready");
        let mut supervisor = supervisor(&[&format!("touch {}; exec sleep 60", ready.display()), "exit 0"]);
        let forwarder = supervisor.forwarder();
        let interrupt = async {
            until_exists(&ready).await;
            // Not SIGINT, which the tests and so their programs ignore where a shell started them in the background.
            forwarder.forward(Signal::TERM).unwrap();
        };
        let (result, ()) = tokio::join!(supervisor.run_setup(), interrupt);
        assert!(matches!(result, Err(ExecError::Setup { .. })), "{result:?}");
    }

    #[tokio::test]
    async fn wait_that_was_dropped_is_taken_up_again() {
        let dir = tempfile::tempdir().unwrap();
        let go = dir.path().join("go");
        let script = format!("while [ ! -e {} ]; do sleep 0.01; done; exit 4", go.display());
        let mut supervisor = supervisor(&[&script]);
        assert!(supervisor.spawn_main().unwrap());
        let ended = tokio::time::timeout(Duration::from_millis(20), supervisor.wait()).await;
        assert!(ended.is_err());
        std::fs::write(&go, "").unwrap();
        assert_eq!(supervisor.wait().await.unwrap(), MainExit::Code(4));
    }
}
