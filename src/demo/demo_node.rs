use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use litefs_core::Position;
use litefs_net::Client;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// One node of the demonstration: a `litefs mount` with its own directories.
#[derive(Debug)]
pub(super) struct DemoNode {
    number: usize,
    port: u16,
    directory: PathBuf,
    child: Option<Child>,
}

impl DemoNode {
    /// Writes the node's configuration. Node 1 is the primary, at `primary_port`.
    pub(super) fn new(parent: &Path, number: usize, port: u16, primary_port: u16) -> anyhow::Result<Self> {
        let directory = parent.join(format!("node{number}"));
        fs::create_dir(&directory)?;
        let path = |name: &str| serde_json::to_string(&directory.join(name));
        let configuration = format!(
            "fuse: {{dir: {}}}\ndata: {{dir: {}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n\
             lease: {{type: static, hostname: node1, advertise-url: \"http://127.0.0.1:{primary_port}\", candidate: {}}}\n",
            path("mount")?,
            path("data")?,
            number == 1,
        );
        fs::write(directory.join("litefs.yml"), configuration)?;
        Ok(Self { number, port, directory, child: None })
    }

    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let log = fs::File::options().create(true).append(true).open(self.directory.join("log"))?;
        let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
        command.arg("mount").arg("--config").arg(self.directory.join("litefs.yml"));
        // The terminal's Ctrl-C is for the demonstration, which then stops its nodes itself.
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn().context("cannot start a node")?);
        Ok(())
    }

    /// Waits until the node has had everything its primary has.
    pub(super) async fn wait_ready(&mut self, patience: Duration) -> anyhow::Result<()> {
        let client = Client::new(&self.url())?;
        let deadline = Instant::now() + patience;
        loop {
            if client.status().await.is_ok_and(|status| status.ready) {
                return Ok(());
            }
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().transpose()) {
                anyhow::bail!("{} ended: {}", self.name(), status?);
            }
            anyhow::ensure!(Instant::now() < deadline, "{} is not ready after {patience:?}", self.name());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the node at once, as a crash would.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.context("cannot kill a node")?;
        }
        Ok(())
    }

    /// Has the node shut down and unmount, and waits for it.
    pub(super) async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = child.wait().await;
    }

    pub(super) fn name(&self) -> String {
        format!("node{}", self.number)
    }

    pub(super) fn role(&self) -> &'static str {
        if self.number == 1 { "primary" } else { "replica" }
    }

    pub(super) fn mount(&self) -> PathBuf {
        self.directory.join("mount")
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where a database of this node is; nothing while the node is down.
    pub(super) fn position(&self, database: &str) -> Option<Position> {
        self.child.as_ref()?;
        fs::read_to_string(self.mount().join(format!("{database}-pos"))).ok()?.trim().parse().ok()
    }

    /// What the node said so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}
