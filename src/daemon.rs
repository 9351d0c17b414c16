//! A running node: the order in which its parts start and stop.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use litefs_core::NodeId;
use litefs_core::database::Authority;
use litefs_core::log::Retention;
use litefs_fuse::store::{Store, StoreOptions};
use litefs_fuse::{Mount, Options as FuseOptions};
use litefs_net::{Host, Limits, Member, Metrics, PrimaryInfo, Server, StaticLease, Stopper};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::config::{Config, OtherFiles, StaticRole};
use crate::error_text::error_text;
use crate::exec::{MainExit, Supervisor};
use crate::host::{Node, random_u64};

/// What the command line says to the daemon beside the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MountOptions {
    /// Whether the remains of a daemon that died at the mount point are left alone, and are an error.
    pub(crate) skip_unmount: bool,
}

/// Runs a node until it is told to stop or its program ends.
pub(crate) fn run(config: Config, options: MountOptions) -> anyhow::Result<ExitCode> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the network threads")?;
    let outcome = runtime.block_on(run_node(config, options));
    // A thread that still waits for a program must not keep the process.
    runtime.shutdown_background();
    outcome
}

async fn run_node(config: Config, options: MountOptions) -> anyhow::Result<ExitCode> {
    // From the first moment on, so that a signal is never lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let exit_on_error = config.exit_on_error;
    let mut supervisor = Supervisor::new(config.exec.clone(), config.lease.role.is_candidate());
    let running = match Running::start(config, options).await {
        Ok(running) => running,
        Err(error) if exit_on_error => return Err(error),
        Err(error) => {
            eprintln!("ERROR: {}", error_text(&error));
            next_signal(&mut terminate, &mut interrupt).await;
            return Ok(ExitCode::FAILURE);
        }
    };
    let supervised = supervise(&running, &mut supervisor, &mut terminate, &mut interrupt).await;
    let stopped = running.stop().await;
    let code = supervised?;
    stopped?;
    println!("litefs shut down complete");
    Ok(ExitCode::from(code))
}

/// Runs the configured programs and waits for the end of the last one, or for a signal. Returns the exit code.
async fn supervise(
    running: &Running,
    supervisor: &mut Supervisor,
    terminate: &mut Signals,
    interrupt: &mut Signals,
) -> anyhow::Result<u8> {
    if !running.skip_sync {
        tracing::info!("waiting to connect to cluster");
        tokio::select! {
            () = running.ready() => tracing::info!("connected to cluster, ready"),
            _ = next_signal(terminate, interrupt) => return Ok(0),
        }
    }
    let forwarder = supervisor.forwarder();
    if run_setup(supervisor, terminate, interrupt).await? {
        return Ok(0);
    }
    let started = supervisor.spawn_main().context("cannot exec")?;
    println!("waiting for signal or subprocess to exit");
    tokio::select! {
        exit = supervisor.wait() => {
            let exit = exit?;
            println!("subprocess exited {exit}, litefs shutting down");
            Ok(exit.code_by_itself())
        }
        signal = next_signal(terminate, interrupt) => {
            let mut exit = MainExit::Code(0);
            if started {
                println!("sending signal to exec process");
                forwarder.forward(signal)?;
                println!("waiting for exec process to close");
                exit = supervisor.wait().await?;
            }
            println!("signal received, litefs shutting down");
            Ok(exit.code_after_forwarding())
        }
    }
}

/// Runs all programs but the last. True if a signal came, which is handed on to the one that runs.
async fn run_setup(
    supervisor: &mut Supervisor,
    terminate: &mut Signals,
    interrupt: &mut Signals,
) -> anyhow::Result<bool> {
    let forwarder = supervisor.forwarder();
    let set_up = supervisor.run_setup();
    tokio::pin!(set_up);
    let mut interrupted = false;
    loop {
        tokio::select! {
            set_up = &mut set_up => {
                set_up.context("cannot exec")?;
                return Ok(interrupted);
            }
            signal = next_signal(terminate, interrupt) => {
                forwarder.forward(signal)?;
                interrupted = true;
            }
        }
    }
}

async fn next_signal(terminate: &mut Signals, interrupt: &mut Signals) -> Signal {
    tokio::select! {
        _ = terminate.recv() => Signal::TERM,
        _ = interrupt.recv() => Signal::INT,
    }
}

/// The parts of a node that runs.
struct Running {
    store: Arc<Store>,
    mount: Mount,
    node: Arc<Node>,
    skip_sync: bool,
    stopper: Stopper,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    async fn start(config: Config, options: MountOptions) -> anyhow::Result<Self> {
        // The address first: if another node has it, nothing else is touched.
        let addresses = config.http.addr.socket_addresses().context("cannot open http server")?;
        let server = Server::bind(addresses.as_slice())
            .await
            .with_context(|| format!("cannot open http server on {}", config.http.addr))?;
        let address = server.local_addr()?;

        let candidate = config.lease.role.is_candidate();
        let (hostname, lease, databases) = match config.lease.role {
            StaticRole::Primary { hostname, .. } => (hostname, StaticLease::primary(), Vec::new()),
            StaticRole::Replica { primary_hostname, primary_url, databases } => {
                let primary = PrimaryInfo { hostname: primary_hostname, url: primary_url.to_string() };
                (own_hostname(), StaticLease::replica_of(primary), databases)
            }
        };
        let store_options = StoreOptions {
            data_dir: config.data.dir,
            node_id: NodeId::new(random_u64()?),
            compress: config.data.compress,
            retention: Retention {
                age_ms: config.data.retention.map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX)),
                size: config.data.retention_size,
            },
            retention_interval: config.data.retention_monitor_interval,
            strict_verify: config.strict_verify,
        };
        let fuse_options = FuseOptions {
            allow_other: config.fuse.allow_other,
            other_files: match config.fuse.other_files {
                OtherFiles::Deny => litefs_fuse::OtherFiles::Refuse,
                OtherFiles::Local => litefs_fuse::OtherFiles::Local,
            },
            skip_unmount: options.skip_unmount,
            ..FuseOptions::new(config.fuse.dir)
        };
        let (store, mount) = spawn_blocking(move || {
            let store = Store::open(&store_options).context("cannot open store")?;
            if candidate {
                // With a static lease the role is known, so that no program finds a mount that refuses its writes.
                store.set_authority(Authority::Forever).context("cannot take the role of the primary")?;
                store.role().set(true, None);
            }
            let mount = litefs_fuse::mount(Arc::clone(&store) as _, &fuse_options)?;
            litefs_fuse::equip(&store, &mount);
            anyhow::Ok((store, mount))
        })
        .await??;
        tracing::info!("LiteFS mounted to: {}", mount.path().display());

        let notifier = mount.notifier().clone();
        let node = Node::new(Arc::clone(&store), hostname, candidate, config.data.compress, notifier)?;
        let host: Arc<dyn Host> = Arc::clone(&node) as _;
        let (stopper, stop) = Stopper::new();
        let mut limits = Limits::default();
        limits.snapshot_timeout = config.http.snapshot_timeout.unwrap_or(limits.snapshot_timeout);
        tracing::info!("http server listening on: http://{address}");
        let member = Member::new(Arc::clone(&host), lease, &databases, config.lease.reconnect_delay);
        let served = server.serve(host, member.inbox(), Arc::new(Metrics::new()), limits, stop.clone());
        let tasks = vec![tokio::spawn(served), tokio::spawn(member.run(stop))];
        Ok(Self { store, mount, node, skip_sync: config.skip_sync, stopper, tasks })
    }

    /// Waits until this node is primary, or has had everything its primary has.
    async fn ready(&self) {
        // The sender lives as long as the node.
        let _ = self.node.standing().wait_for(|standing| standing.ready).await;
    }

    /// Stops everything in the order in which one part needs another.
    async fn stop(self) -> anyhow::Result<()> {
        self.store.leave();
        self.stopper.stop();
        for task in self.tasks {
            task.await.context("a network task failed")?;
        }
        spawn_blocking(move || {
            // The daemon's own files of the mount keep it busy.
            self.store.unequip();
            let unmounted = self.mount.unmount();
            self.store.close();
            unmounted
        })
        .await?
        .context("cannot unmount")
    }
}

fn own_hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Each database needs some open files.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
}
