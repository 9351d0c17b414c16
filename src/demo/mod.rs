//! `litefs demo`: a cluster on one machine that a newcomer can watch.

mod demo_node;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use rusqlite::Connection;
use tokio::signal::unix::{SignalKind, signal};

use demo_node::DemoNode;

/// Between two transactions of the writer.
const WRITE_INTERVAL: Duration = Duration::from_millis(50);

/// Between two lines of the picture.
const SHOW_INTERVAL: Duration = Duration::from_millis(500);

/// How long a node may take to start or to catch up.
const PATIENCE: Duration = Duration::from_secs(20);

/// The database everybody looks at.
const DATABASE: &str = "demo.db";

/// Runs the demonstration, writing for `phase` before and after a replica is killed.
pub(crate) fn run(phase: Duration) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let directory = tempfile::Builder::new().prefix("litefs-demo.").tempdir()?;
        let mut nodes = Vec::new();
        // The nodes end and unmount however the story does: they are stopped before the directory is removed.
        let outcome = tokio::select! {
            outcome = story(directory.path(), &mut nodes, phase) => outcome,
            _ = terminate.recv() => Err(anyhow::anyhow!("stopped by a signal")),
            _ = interrupt.recv() => Err(anyhow::anyhow!("stopped by a signal")),
        };
        say("Stopping the nodes and removing the directory.");
        for node in &mut nodes {
            node.stop().await;
        }
        if outcome.is_err() {
            for node in &nodes {
                eprintln!("--- log of {}\n{}", node.name(), node.log());
            }
        }
        outcome
    })
}

async fn story(directory: &Path, nodes: &mut Vec<DemoNode>, phase: Duration) -> anyhow::Result<()> {
    say(&format!("Starting three nodes in {}: one primary and two replicas.", directory.display()));
    let ports = free_ports(3)?;
    for (at, port) in ports.iter().enumerate() {
        let mut node = DemoNode::new(directory, at + 1, *port, ports[0])?;
        node.start()?;
        nodes.push(node);
    }
    for node in nodes.iter_mut() {
        node.wait_ready(PATIENCE).await?;
        say(&format!("  {} is a {} and mounted at {}", node.name(), node.role(), node.mount().display()));
    }

    say("\nWriting through SQLite on the primary. Each row is a transaction; this is where each node is:");
    let writer = open_database(&nodes[0].mount().join(DATABASE))?;
    let mut written = 0;
    write_for(phase, &writer, &mut written, nodes).await?;
    wait_for_replicas(nodes).await?;
    for node in &nodes[1..] {
        let rows = count_rows(&node.mount().join(DATABASE))?;
        anyhow::ensure!(rows == written, "{} has {rows} rows, {written} were written", node.name());
        say(&format!("  {} has all {rows} rows", node.name()));
    }

    let last = nodes.len() - 1;
    say(&format!("\nKilling {} (kill -9) and writing on:", nodes[last].name()));
    nodes[last].kill().await?;
    write_for(phase, &writer, &mut written, nodes).await?;
    say(&format!("\nStarting {} again:", nodes[last].name()));
    let started = Instant::now();
    nodes[last].start()?;
    nodes[last].wait_ready(PATIENCE).await?;
    wait_for_replicas(nodes).await?;
    show(nodes);
    let rows = count_rows(&nodes[last].mount().join(DATABASE))?;
    anyhow::ensure!(rows == written, "{} has {rows} rows, {written} were written", nodes[last].name());
    say(&format!(
        "  {} caught up in {:.1} s and has all {rows} rows",
        nodes[last].name(),
        started.elapsed().as_secs_f32()
    ));

    if io::stdin().is_terminal() {
        say("\nThe nodes are still up. In another terminal, try:");
        say(&format!(
            "  sqlite3 {} 'INSERT INTO note VALUES (NULL, 42)'",
            nodes[0].mount().join(DATABASE).display()
        ));
        say(&format!(
            "  sqlite3 {} 'SELECT * FROM note ORDER BY id DESC LIMIT 3'",
            nodes[1].mount().join(DATABASE).display()
        ));
        say(&format!("  litefs status --url {}", nodes[1].url()));
        say("Press Enter to end.");
        tokio::task::spawn_blocking(|| io::stdin().lock().read_line(&mut String::new())).await??;
    }
    Ok(())
}

fn open_database(path: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch(
        "PRAGMA journal_mode = wal; CREATE TABLE note (id INTEGER PRIMARY KEY, value INTEGER NOT NULL);",
    )?;
    Ok(connection)
}

fn count_rows(path: &Path) -> anyhow::Result<i64> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection.query_row("SELECT count(*) FROM note", (), |row| row.get(0))?)
}

/// Writes rows for some time and shows where the nodes are.
async fn write_for(
    phase: Duration,
    writer: &Connection,
    written: &mut i64,
    nodes: &[DemoNode],
) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut shown = started;
    while started.elapsed() < phase {
        writer.execute("INSERT INTO note (value) VALUES (?1)", [*written])?;
        *written += 1;
        if shown.elapsed() >= SHOW_INTERVAL {
            shown = Instant::now();
            show(nodes);
        }
        tokio::time::sleep(WRITE_INTERVAL).await;
    }
    Ok(())
}

/// One line: the transaction each node is at.
fn show(nodes: &[DemoNode]) {
    let places = nodes.iter().map(|node| {
        let place = node
            .position(DATABASE)
            .map_or_else(|| "down".to_owned(), |position| format!("{:>5}", position.txid.get()));
        format!("{} ({}) at transaction {place}", node.name(), node.role())
    });
    say(&format!("  {}", places.collect::<Vec<_>>().join("   ")));
}

/// Waits until every replica is where the primary is.
async fn wait_for_replicas(nodes: &[DemoNode]) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let target = nodes[0].position(DATABASE).context("the primary has no position")?;
        if nodes[1..].iter().all(|node| node.position(DATABASE) == Some(target)) {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "the replicas are not at {target} after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Ports of the loopback interface that nobody uses.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    // All are held until all are known, so that they differ.
    let listeners: Vec<_> =
        (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
    listeners.iter().map(|listener| listener.local_addr().map(|address| address.port())).collect()
}

fn say(line: &str) {
    // Whoever stopped reading does not want to hear more.
    let _ = writeln!(io::stdout(), "{line}");
}
