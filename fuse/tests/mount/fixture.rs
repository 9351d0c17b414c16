use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use litefs_fuse::{Databases, Mount, Options, OtherFiles, mount};
use rusqlite::Connection;

use crate::plain_databases::PlainDatabases;

/// A mount in a directory of its own, over plain databases or another kind.
pub(crate) struct Fixture<D = PlainDatabases> {
    pub(crate) mount: Mount,
    pub(crate) databases: Arc<D>,
    _dir: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn local() -> Self {
        Self::with(|options| options.other_files = OtherFiles::Local)
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::over(PlainDatabases::new, change)
    }
}

impl<D: Databases> Fixture<D> {
    /// A mount over the databases that `open` makes of a directory.
    pub(crate) fn over(open: impl FnOnce(&Path) -> Arc<D>, change: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let databases = open(&dir.path().join("data"));
        let mut options = Options::new(dir.path().join("mnt"));
        options.allow_other = true;
        change(&mut options);
        let mount = mount(Arc::clone(&databases) as _, &options).unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Self { mount, databases, _dir: dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.mount.path().join(name)
    }

    pub(crate) fn connect(&self, name: &str) -> Connection {
        let connection = Connection::open(self.path(name)).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }

    /// Runs a shell script in the mount and returns what it did.
    pub(crate) fn try_shell(&self, script: &str) -> Output {
        Command::new("bash").args(["-ec", script]).current_dir(self.mount.path()).output().unwrap()
    }

    /// Runs a shell script in the mount, which must succeed, and returns what it printed.
    pub(crate) fn shell(&self, script: &str) -> String {
        let output = self.try_shell(script);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// How many requests of one kind the kernel has sent.
    pub(crate) fn requests(&self, kind: &str) -> u64 {
        self.mount.requests().into_iter().find(|(name, _)| *name == kind).unwrap().1
    }
}

/// Waits until `condition` holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}
