use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Cluster, Node, Options, Tmpfs, sqlite3_prints};

/// Asserts that a node refuses to start and says this, and nothing else that is an error.
#[track_caller]
fn refuses_to_start(node: &mut Node, message: &str) {
    node.launch();
    let status = node.await_end();
    assert_eq!(status.code(), Some(1), "{}", node.log());
    let log = node.log();
    let errors: Vec<_> = log.lines().filter(|line| line.starts_with("ERROR: ")).collect();
    assert_eq!(errors, [format!("ERROR: {message}")], "{log}");
}

#[test]
fn mount_point_that_is_a_file_is_refused() {
    let mut cluster = Cluster::prepare(1, Options::default());
    let mount = cluster.primary().mount();
    fs::remove_dir(&mount).unwrap();
    fs::write(&mount, "mine").unwrap();
    refuses_to_start(&mut cluster.nodes[0], &format!("mount point {} is not a directory", mount.display()));
    assert_eq!(fs::read_to_string(&mount).unwrap(), "mine");
}

#[test]
fn mount_point_of_a_running_node_is_refused_and_the_other_goes_on() {
    let mut cluster = Cluster::start(1);
    let mount = cluster.primary().mount();
    // Another node, of its own data directory, told to mount on the same place.
    cluster.add();
    let config = fs::read_to_string(cluster.nodes[1].config()).unwrap();
    let config = config.replace(cluster.nodes[1].mount().to_str().unwrap(), mount.to_str().unwrap());
    fs::write(cluster.nodes[1].config(), config).unwrap();
    let message = format!("mount point {} is in use by another litefs; stop it first", mount.display());
    refuses_to_start(&mut cluster.nodes[1], &message);
    sqlite3_prints(&cluster.primary().path("app.db"), "CREATE TABLE t (x)");
}

#[test]
fn data_directory_of_a_running_node_is_refused_and_the_other_goes_on() {
    let mut cluster = Cluster::start(1);
    let data = cluster.primary().data();
    cluster.add();
    let config = fs::read_to_string(cluster.nodes[1].config()).unwrap();
    let config = config.replace(cluster.nodes[1].data().to_str().unwrap(), data.to_str().unwrap());
    fs::write(cluster.nodes[1].config(), config).unwrap();
    let message = format!(
        "cannot open store: data directory {} is in use by another litefs; stop that one first, or give each its own directory",
        data.display()
    );
    refuses_to_start(&mut cluster.nodes[1], &message);
    assert!(!crate::support::is_mounted(&cluster.nodes[1].mount()));
    sqlite3_prints(&cluster.primary().path("app.db"), "CREATE TABLE t (x)");
}

#[test]
fn data_directory_that_cannot_be_written_is_refused() {
    let mut cluster = Cluster::prepare(1, Options::default());
    let data = cluster.primary().data();
    // Root writes everywhere but on a disk that is mounted read-only.
    let disk = Tmpfs::mount(&data, 1);
    disk.remount_read_only();
    let message = format!(
        "cannot open store: cannot use data directory {}: Read-only file system (os error 30)",
        data.join("dbs").display()
    );
    refuses_to_start(&mut cluster.nodes[0], &message);
    drop(disk);
}

#[test]
fn data_directory_that_is_a_file_is_refused() {
    let mut cluster = Cluster::prepare(1, Options::default());
    let data = cluster.primary().data();
    fs::remove_dir(&data).unwrap();
    fs::write(&data, "mine").unwrap();
    let message =
        format!("cannot open store: cannot use data directory {}: File exists (os error 17)", data.display());
    refuses_to_start(&mut cluster.nodes[0], &message);
    assert_eq!(fs::read_to_string(&data).unwrap(), "mine");
}

#[test]
fn address_that_is_taken_is_refused_before_anything_is_touched() {
    let mut cluster = Cluster::prepare(1, Options::default());
    let address = cluster.primary().address();
    let taken = std::net::TcpListener::bind(address).unwrap();
    let message = format!("cannot open http server on {address}: Address already in use (os error 98)");
    refuses_to_start(&mut cluster.nodes[0], &message);
    assert_eq!(fs::read_dir(cluster.primary().data()).unwrap().count(), 0);
    drop(taken);
    cluster.nodes[0].start();
}

#[test]
fn file_among_the_databases_is_refused_by_name() {
    let mut cluster = Cluster::start(1);
    cluster.nodes[0].stop();
    let stray = cluster.primary().data().join("dbs/notes.txt");
    fs::write(&stray, "mine").unwrap();
    let message = format!(
        "cannot open store: {} is not a database directory; move it out of the data directory",
        stray.display()
    );
    refuses_to_start(&mut cluster.nodes[0], &message);
    fs::remove_file(stray).unwrap();
    cluster.nodes[0].start();
}

#[test]
fn cluster_id_that_is_none_is_refused() {
    let mut cluster = Cluster::start(1);
    cluster.nodes[0].stop();
    let path = cluster.primary().data().join("clusterid");
    let id = fs::read_to_string(&path).unwrap();
    fs::write(&path, "LFSC12\n").unwrap();
    cluster.nodes[0].launch();
    assert_eq!(cluster.nodes[0].await_end().code(), Some(1));
    let log = cluster.primary().log();
    assert!(log.contains(&format!("load cluster id: {}: ", path.display())), "{log}");
    fs::write(&path, id).unwrap();
    cluster.nodes[0].start();
}

#[test]
fn mount_without_the_fuse_device_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    // In a mount namespace of its own the device is covered by something that is no device.
    let script = "mount -t tmpfs none /dev && exec \"$0\" mount --dir \"$1/data\" \"$1/mount\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_litefs")]).arg(directory.path());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains(
            "ERROR: /dev/fuse is missing: load the kernel module fuse, or give the container the device"
        ),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn mount_point_keeps_its_mode_when_a_start_fails() {
    let mut cluster = Cluster::prepare(1, Options::default());
    let (mount, data) = (cluster.primary().mount(), cluster.primary().data());
    fs::set_permissions(&mount, fs::Permissions::from_mode(0o711)).unwrap();
    fs::create_dir(data.join("dbs")).unwrap();
    fs::write(data.join("dbs/stray"), "").unwrap();
    cluster.nodes[0].launch();
    assert_eq!(cluster.nodes[0].await_end().code(), Some(1));
    assert_eq!(fs::metadata(&mount).unwrap().permissions().mode() & 0o777, 0o711);
}
