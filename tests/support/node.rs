use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use super::{Options, get, wait_for, wait_until};

/// What a node writes when programs may use the mount.
const READY: &str = "waiting for signal or subprocess to exit";

/// The port of every node, which is not the default one; each has a loopback address of its own.
const PORT: u16 = 20302;

/// A node of a cluster: a directory with its data, mount, configuration and log, and the process while it runs.
///
/// Whatever happens to the test, the process is ended and the mount is gone afterwards.
#[derive(Debug)]
pub(crate) struct Node {
    name: String,
    directory: PathBuf,
    address: SocketAddrV4,
    process: Option<Child>,
    /// Bytes of the log that are from processes before this one.
    log_before: usize,
}

impl Node {
    /// A node that does not run yet. It follows `primary`, or is primary itself if there is none.
    pub(crate) fn new(parent: &Path, name: &str, primary: Option<&Self>, options: Options) -> Self {
        let directory = parent.join(name);
        for part in ["mount", "data"] {
            fs::create_dir_all(directory.join(part)).unwrap();
        }
        let node =
            Self { name: name.to_owned(), directory, address: free_address(), process: None, log_before: 0 };
        let (candidate, leader) = primary.map_or((true, &node), |primary| (false, primary));
        let text = format!(
            "fuse: {{dir: {mount:?}{fuse}}}\n\
             data: {{dir: {data:?}{more}}}\n\
             http: {{addr: {address:?}}}\n\
             lease: {{type: static, hostname: {hostname}, advertise-url: {url:?}, candidate: {candidate}, \
             reconnect-delay: 100ms{lease}}}\n",
            mount = node.mount(),
            fuse = options.fuse,
            data = node.data(),
            more = options.data,
            address = node.address.to_string(),
            hostname = leader.name,
            url = leader.url(),
            lease = options.lease,
        );
        fs::write(node.config(), text).unwrap();
        node
    }

    pub(crate) fn mount(&self) -> PathBuf {
        self.directory.join("mount")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.directory.join("litefs.yml")
    }

    /// A file in the mount.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.mount().join(file)
    }

    pub(crate) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts the process and waits until programs may use the mount.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.launch();
        self.await_ready();
    }

    /// Starts the process.
    #[track_caller]
    pub(crate) fn launch(&mut self) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        self.log_before = self.whole_log().len();
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_litefs"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).current_dir(&self.directory);
        command.arg("mount").arg("-config").arg(self.config()).stdin(Stdio::null());
        self.process = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// Waits until programs may use the mount.
    #[track_caller]
    pub(crate) fn await_ready(&mut self) {
        self.await_log(READY);
    }

    /// Waits until the process has written this to its log.
    #[track_caller]
    pub(crate) fn await_log(&mut self, text: &str) {
        let what = format!("{text:?} in the log of {}", self.name);
        wait_until(&what, || {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().unwrap());
            let found = self.log().contains(text);
            assert!(found || ended.is_none(), "{} ended with {ended:?} before {text:?}", self.name);
            found
        });
    }

    /// Waits until the process has ended by itself.
    #[track_caller]
    pub(crate) fn await_end(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        let status = wait_for(&what, || self.process.as_mut().unwrap().try_wait().unwrap());
        self.process = None;
        status
    }

    /// Ends the process as an operator does. It must take leave in good order.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.await_end();
        assert!(status.success(), "{} ended with {status} after SIGTERM", self.name);
    }

    /// Ends the process as a power cut does, as far as memory is concerned.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        assert_eq!(self.await_end().signal(), Some(Signal::KILL.as_raw()));
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().unwrap();
        kill_process(Pid::from_child(process), signal).unwrap();
    }

    /// What the process that runs, or ran last, has written.
    pub(crate) fn log(&self) -> String {
        self.whole_log().split_off(self.log_before)
    }

    fn whole_log(&self) -> String {
        fs::read(self.log_path())
            .map_or_else(|_| String::new(), |log| String::from_utf8_lossy(&log).into_owned())
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Where a database is, as the mount says.
    pub(crate) fn position(&self, database: &str) -> Option<String> {
        fs::read_to_string(self.path(&format!("{database}-pos"))).ok()
    }

    /// The answer to `/info`.
    pub(crate) fn info(&self) -> serde_json::Value {
        let (status, body) = get(self.address, "/info");
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    }

    /// The database file as the node sends it.
    #[track_caller]
    pub(crate) fn export(&self, database: &str) -> Vec<u8> {
        let (status, body) = get(self.address, &format!("/export?name={database}"));
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        body
    }

    /// Runs a command of the program against this node.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_litefs"));
        command.env_clear().current_dir(&self.directory);
        command.arg(arguments[0]).args(["-url", &self.url()]).args(&arguments[1..]).output().unwrap()
    }

    /// Takes away what a killed process has left mounted.
    fn unmount(&self) {
        if is_mounted(&self.mount()) {
            let _ = Command::new("umount").arg("-l").arg(self.mount()).status();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
        self.unmount();
        if std::thread::panicking() {
            eprintln!("---- log of {} ----\n{}----", self.name, self.whole_log());
        }
    }
}

/// Whether something is mounted exactly there.
pub(crate) fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    mounts.lines().any(|line| line.split(' ').nth(1).is_some_and(|point| Path::new(point) == path))
}

/// A loopback address that no other node of this or another test run has.
///
/// With one address for each node no port has to be free by chance, also while a node is down for a moment.
fn free_address() -> SocketAddrV4 {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    // 127.0.0.1 is everybody's.
    let high = high | 0x80;
    loop {
        let host = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddrV4::new(Ipv4Addr::new(127, high, low, host), PORT);
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
