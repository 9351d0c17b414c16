use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take that a node does by itself.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a node writes when programs may use the mount.
const READY: &str = "waiting for signal or subprocess to exit";

/// The litefs program that is measured.
const PROGRAM: &str = env!("CARGO_BIN_EXE_litefs");

/// A `litefs mount` in a directory of its own. Dropping it ends the process and unmounts.
#[derive(Debug)]
pub(crate) struct Node {
    directory: PathBuf,
    url: String,
    child: Option<Child>,
}

impl Node {
    /// A primary that runs.
    pub(crate) fn primary(parent: &Path) -> anyhow::Result<Self> {
        let mut node = Self::prepare(parent, "primary", None)?;
        node.start()?;
        Ok(node)
    }

    /// A replica of `primary` that does not run yet.
    pub(crate) fn replica(parent: &Path, name: &str, primary: &Self) -> anyhow::Result<Self> {
        Self::prepare(parent, name, Some(primary))
    }

    fn prepare(parent: &Path, name: &str, primary: Option<&Self>) -> anyhow::Result<Self> {
        let directory = parent.join(name);
        fs::create_dir(&directory)?;
        let address = free_address()?;
        let node = Self { directory, url: format!("http://{address}"), child: None };
        let configuration = format!(
            "fuse: {{dir: {mount:?}}}\ndata: {{dir: {data:?}}}\nhttp: {{addr: \"{address}\"}}\n\
             lease: {{type: static, hostname: primary, advertise-url: {url:?}, candidate: {candidate}}}\n",
            mount = node.path(""),
            data = node.data(),
            url = primary.map_or(&node.url, |primary| &primary.url),
            candidate = primary.is_none(),
        );
        fs::write(node.directory.join("litefs.yml"), configuration)?;
        Ok(node)
    }

    /// A file in the mount.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.join("mount").join(file)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Starts the process and waits until programs may use the mount.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        self.launch()?;
        self.wait_until_ready()
    }

    /// Waits until the node has its role: before, a primary's mount answers but cannot be written to.
    pub(crate) fn wait_until_ready(&self) -> anyhow::Result<()> {
        self.wait_for("to be ready", || Ok(fs::read_to_string(self.log())?.contains(READY).then_some(())))
    }

    /// Starts the process.
    pub(crate) fn launch(&mut self) -> anyhow::Result<()> {
        let log = File::create(self.log())?;
        let mut command = Command::new(PROGRAM);
        command.arg("mount").arg("-config").arg(self.directory.join("litefs.yml")).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn().with_context(|| format!("cannot start {PROGRAM}"))?);
        Ok(())
    }

    /// Waits until `found` finds something, and returns it.
    pub(crate) fn wait_for<T>(
        &self,
        what: &str,
        mut found: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let name = self.directory.display();
        loop {
            if let Some(found) = found()? {
                return Ok(found);
            }
            anyhow::ensure!(Instant::now() < deadline, "{name} took longer than {PATIENCE:?} {what}");
            anyhow::ensure!(
                self.is_running(),
                "{name} ended before it came {what}; its log is\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    fn is_running(&self) -> bool {
        let Some(pid) = self.pid() else { return false };
        let status = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    }

    /// What the mount says the position of a database is; nothing while it cannot be asked.
    pub(crate) fn position(&self, database: &str) -> Option<String> {
        fs::read_to_string(self.path(&format!("{database}-pos"))).ok()
    }

    /// Runs a command of the program against this node.
    pub(crate) fn command(&self, name: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let output = Command::new(PROGRAM).arg(name).args(["-url", &self.url]).args(arguments).output()?;
        let message = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "litefs {name} failed: {message}");
        Ok(())
    }

    /// Physical memory the process uses, in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let pid = self.pid().context("the node does not run")?;
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        Ok(kilobytes.context("the kernel does not say how much memory a process uses")?.parse::<u64>()?
            * 1024)
    }

    /// Has it shut down in good order.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        self.end(Signal::TERM)
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.end(Signal::KILL)
    }

    fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        if let Some(pid) = self.pid() {
            kill_process(pid, signal)?;
        }
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        Ok(())
    }

    fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(Pid::from_child)
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Has the kernel forget the content of the node's files, so that the next start reads them from the disk.
    pub(crate) fn evict(&self) -> anyhow::Result<()> {
        let mut directories = vec![self.data()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    directories.push(entry.path());
                } else {
                    let file = File::open(entry.path())?;
                    file.sync_all()?;
                    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("cannot stop {}: {error}", self.directory.display());
        }
        // A node that was killed leaves its mount behind, and only then this is an error.
        let is_stale =
            fs::metadata(self.path("")).is_err_and(|error| error.kind() == ErrorKind::NotConnected);
        if is_stale {
            let _ = Command::new("umount").arg("-l").arg(self.path("")).status();
        }
    }
}

/// A port of the loopback interface that nobody uses.
fn free_address() -> io::Result<SocketAddrV4> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr()?.port()))
}
