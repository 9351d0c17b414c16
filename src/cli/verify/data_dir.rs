//! Checking databases at rest.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, bail};
use litefs_core::drive::{self, Verdict};
use litefs_core::{Checksum, ClusterId, Position, ltx};
use litefs_fuse::store::RealDisk;
use rustix::fs::{FlockOperation, flock};

use super::verify_ltx;

/// How often a database that looks damaged is looked at again while a node writes to it.
const TRIES_BESIDE_NODE: usize = 5;

/// Checks all databases of a data directory, or the one whose directory it is. Returns what is to be told, and whether
/// everything is whole.
pub(super) fn verify(path: &Path) -> anyhow::Result<(String, bool)> {
    let databases = path.join("dbs");
    let is_database = ["database", "log", "ltx"].iter().any(|part| path.join(part).exists());
    let mut text = String::new();
    if !databases.is_dir() {
        if !is_database {
            bail!("{} is not a data directory: it has no directory dbs", path.display());
        }
        let whole = verify_database(path, false, &mut text)?;
        return Ok((text, whole));
    }
    let directory = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    // Held to the end, so that no node starts meanwhile and changes what is read.
    let running = flock(&directory, FlockOperation::NonBlockingLockShared).is_err();
    if running {
        let _ =
            writeln!(text, "a litefs is running on {}; what is in its memory is not checked", path.display());
    }
    let mut whole = verify_cluster_id(path, &mut text)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(&databases).with_context(|| format!("cannot read {}", databases.display()))? {
        names.push(entry?.path());
    }
    names.sort();
    for name in &names {
        whole &= verify_database(name, running, &mut text)?;
    }
    if names.is_empty() {
        let _ = writeln!(text, "no databases");
    }
    Ok((text, whole))
}

fn verify_cluster_id(path: &Path, text: &mut String) -> anyhow::Result<bool> {
    let path = path.join("clusterid");
    let content = match fs::read_to_string(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    if let Err(error) = content.trim().parse::<ClusterId>() {
        let path = path.display();
        let _ = writeln!(text, "{path}: damaged: {error}; write the id of the cluster's other nodes to it");
        return Ok(false);
    }
    Ok(true)
}

fn verify_database(path: &Path, running: bool, text: &mut String) -> anyhow::Result<bool> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    if !path.is_dir() {
        let _ = writeln!(text, "{name}: not a database directory; move it out of the data directory");
        return Ok(false);
    }
    if path.join("ltx").is_dir() && !path.join("log").is_dir() {
        return verify_of_litefs(path, &name, text);
    }
    let check = || {
        let verdict = drive::verify(&RealDisk::view(path.to_path_buf()));
        verdict.with_context(|| format!("cannot read the files in {}", path.display()))
    };
    let mut verdict = check()?;
    for _ in 1..TRIES_BESIDE_NODE {
        if !running || verdict.findings.is_empty() {
            break;
        }
        verdict = check()?;
    }
    let whole = verdict.findings.is_empty();
    let _ = writeln!(text, "{name}: {}, {}", if whole { "ok" } else { "damaged" }, facts(&verdict));
    for finding in &verdict.findings {
        let _ = writeln!(text, "  {finding}");
    }
    if !whole && running {
        let _ = writeln!(text, "  it may have changed while it was read; stop the node to be sure");
    }
    for unfinished in &verdict.unfinished {
        let _ = writeln!(text, "  at the next start: {unfinished}");
    }
    Ok(whole)
}

fn facts(verdict: &Verdict) -> String {
    let Verdict { position, first, files, log_len, page_count, .. } = verdict;
    let content = match *position {
        Position::ZERO => return "never written to".to_owned(),
        Position { txid, checksum: Checksum::EMPTY } => format!("dropped by transaction {txid}"),
        position => format!("{page_count} pages at {position}"),
    };
    match first {
        Some(first) => format!("{content}, log from {first} ({files} LTX files, {log_len} bytes)"),
        None => format!("{content}, no transactions kept"),
    }
}

/// A database that LiteFS keeps, or left, is checked against its transactions when it is taken over.
fn verify_of_litefs(path: &Path, name: &str, text: &mut String) -> anyhow::Result<bool> {
    let directory = path.join("ltx");
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        let is_ltx = path.file_name().and_then(|name| ltx::parse_file_name(name.to_str()?)).is_some();
        files.extend(is_ltx.then_some(path));
    }
    files.sort();
    let mut damaged = String::new();
    for file in &files {
        if let Some(damage) = verify_ltx(file)?.damage {
            let _ = writeln!(damaged, "  {}: {damage}", file.display());
        }
    }
    let whole = damaged.is_empty();
    let (state, count) = (if whole { "ok" } else { "damaged" }, files.len());
    let _ = writeln!(
        text,
        "{name}: {state}, kept by LiteFS in {count} LTX files; it is checked against them when a node takes it over"
    );
    text.push_str(&damaged);
    Ok(whole)
}
