//! Mounting, unmounting, and mount points that cannot be used.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use litefs_fuse::{Mount, MountError, Options, mount};

use crate::fixture::Fixture;
use crate::plain_databases::PlainDatabases;

fn try_mount(dir: &Path, mount_point: &Path) -> Result<Mount, MountError> {
    mount(PlainDatabases::new(&dir.join("data")), &Options::new(mount_point))
}

#[test]
fn mount_is_listed_under_its_own_name_and_enforces_modes() {
    let fixture = Fixture::new();
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let line = mounts.lines().find(|line| line.contains(fixture.mount.path().to_str().unwrap())).unwrap();
    assert!(line.starts_with("litefs ") && line.contains(" fuse rw,nosuid,nodev,"), "{line}");
    assert!(line.contains(",default_permissions,allow_other"), "{line}");
}

#[test]
fn mount_point_that_cannot_be_used_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = try_mount(dir.path(), &file).unwrap_err();
    assert_eq!(error.to_string(), format!("mount point {} is not a directory", file.display()));
    let error = try_mount(dir.path(), &file.join("below")).unwrap_err();
    assert!(error.to_string().starts_with("cannot create mount point"), "{error}");
    let fixture = Fixture::new();
    let error = try_mount(dir.path(), fixture.mount.path()).unwrap_err();
    let expected =
        format!("mount point {} is in use by another litefs; stop it first", fixture.path("").display());
    assert_eq!(error.to_string().replace(" is in", "/ is in"), expected);
}

#[test]
fn missing_mount_point_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let mount = try_mount(dir.path(), &dir.path().join("a/b")).unwrap();
    assert_eq!(mount.path(), dir.path().canonicalize().unwrap().join("a/b"));
}

#[test]
fn b37_program_that_uses_the_mount_does_not_hold_up_unmounting() {
    let fixture = Fixture::new();
    let connection = fixture.connect("app.db");
    connection.execute_batch("pragma journal_mode = wal; create table t(x)").unwrap();
    let mut child = Command::new("sleep").arg("60").current_dir(fixture.mount.path()).spawn().unwrap();
    let started = Instant::now();
    fixture.mount.unmount().unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    fixture.mount.wait();
    assert!(!fixture.path("app.db").exists());
    assert!(
        connection.execute("insert into t values (1)", []).is_err(),
        "nothing is committed behind the daemon's back"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    fixture.mount.unmount().unwrap();
}

#[test]
fn unmount_by_an_administrator_ends_the_wait() {
    let fixture = Fixture::new();
    assert!(Command::new("umount").arg(fixture.mount.path()).status().unwrap().success());
    fixture.mount.wait();
    fixture.mount.unmount().unwrap();
}

/// Mounts in another process and kills it. Only does so where the variable says; otherwise it is not a test.
#[test]
fn mount_of_a_daemon_to_be_killed() {
    let Some(dir) = std::env::var_os("LITEFS_TEST_MOUNT_AND_HANG") else { return };
    let dir = Path::new(&dir);
    let mount = try_mount(dir, &dir.join("mnt")).unwrap();
    let own = rusqlite::Connection::open(mount.path().join("own.db")).unwrap();
    // Without passthrough a process that dies with a wal-index of its own mount mapped waits for itself to write it back.
    let mode = if mount.uses_passthrough() { "wal" } else { "delete" };
    own.execute_batch(&format!("pragma journal_mode = {mode}; create table t(x)")).unwrap();
    fs::write(dir.join("ready"), "").unwrap();
    mount.wait();
}

#[test]
fn daemon_killed_with_its_own_files_open_ends_at_once_and_its_mount_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "mounting::mount_of_a_daemon_to_be_killed"])
        .env("LITEFS_TEST_MOUNT_AND_HANG", dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    crate::fixture::wait_until("the mount", || dir.path().join("ready").exists());
    let mount_point = dir.path().join("mnt");
    assert!(matches!(try_mount(&dir.path().join("other"), &mount_point), Err(MountError::InUse { .. })));
    daemon.kill().unwrap();
    let started = Instant::now();
    daemon.wait().unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "a dying daemon must not wait for itself");

    let mut options = Options::new(&mount_point);
    options.skip_unmount = true;
    let databases = PlainDatabases::new(&dir.path().join("other"));
    let error = mount(Arc::clone(&databases) as _, &options).unwrap_err();
    assert!(matches!(error, MountError::Stale { .. }), "{error}");
    assert!(error.to_string().contains("run `umount -l"), "{error}");
    options.skip_unmount = false;
    let mount = mount(databases, &options).unwrap();
    rusqlite::Connection::open(mount.path().join("app.db"))
        .unwrap()
        .execute_batch("create table t(x)")
        .unwrap();
}

#[test]
fn files_of_the_own_mount_can_be_locked_by_the_daemon_and_conflict_with_programs() {
    for threads in [1, 2] {
        let fixture = Fixture::with(|options| options.threads = threads);
        let client = fixture.connect("app.db");
        client.busy_timeout(Duration::ZERO).unwrap();
        client.execute_batch("pragma journal_mode = wal; create table t(x)").unwrap();
        for _ in 0..20 {
            let shm = fs::File::options().read(true).write(true).open(fixture.path("app.db-shm")).unwrap();
            lock_write_byte(&shm);
            let error = client.execute("insert into t values (1)", []).unwrap_err();
            assert!(error.to_string().contains("locked"), "{error}");
            drop(shm);
            client.execute("insert into t values (1)", []).unwrap();
        }
    }
}

/// Takes SQLite's WAL write lock (byte 120 of the wal-index) with a lock that belongs to the open file.
fn lock_write_byte(shm: &fs::File) {
    let lock = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as i16,
        l_whence: nix::libc::SEEK_SET as i16,
        l_start: 120,
        l_len: 1,
        l_pid: 0,
    };
    nix::fcntl::fcntl(shm.as_fd(), nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).unwrap();
}

/// Lets everybody open the device, as distributions do, for as long as it lives.
struct OpenDevice(fs::Permissions);

impl OpenDevice {
    const PATH: &str = "/dev/fuse";

    fn new() -> Self {
        let before = fs::metadata(Self::PATH).unwrap().permissions();
        fs::set_permissions(Self::PATH, fs::Permissions::from_mode(0o666)).unwrap();
        Self(before)
    }
}

impl Drop for OpenDevice {
    fn drop(&mut self) {
        fs::set_permissions(Self::PATH, self.0.clone()).unwrap();
    }
}

#[test]
fn ordinary_user_mounts_through_the_helper() {
    const NOBODY: u32 = 65534;
    let _device = OpenDevice::new();
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let tests = dir.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    let id = NOBODY.to_string();
    let mut daemon = Command::new("setpriv")
        .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
        .arg(&tests)
        .args(["--exact", "mounting::mount_of_a_daemon_to_be_killed"])
        .env("LITEFS_TEST_MOUNT_AND_HANG", dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    crate::fixture::wait_until("the mount", || dir.path().join("ready").exists());
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let line = mounts.lines().find(|line| line.contains(dir.path().to_str().unwrap())).unwrap();
    assert!(line.starts_with("litefs ") && line.contains("user_id=65534"), "{line}");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(Command::new("umount").arg("-l").arg(dir.path().join("mnt")).status().unwrap().success());
}
