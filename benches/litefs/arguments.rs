use std::path::PathBuf;

use crate::workloads::{WORKLOADS, Workload};

/// Measures litefs beside the bare disk.
#[derive(Debug, clap::Parser)]
pub(crate) struct Arguments {
    /// Workloads to run; all without any. See --list
    #[arg(value_name = "WORKLOAD")]
    pub(crate) names: Vec<String>,

    /// Multiply sizes and counts by this; targets only mean something at 1
    #[arg(long)]
    scale: Option<f64>,

    /// How often each side of a comparison is measured
    #[arg(long)]
    repeats: Option<usize>,

    /// A directory on the disk to measure
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub(crate) dir: PathBuf,

    /// A directory in memory, where a sync costs nothing and FUSE is all there is
    #[arg(long, default_value = "/dev/shm")]
    pub(crate) memory_dir: PathBuf,

    /// Only use the disk (`disk`) or memory (`memory`) where a workload can use both
    #[arg(long, value_parser = ["disk", "memory"])]
    pub(crate) place: Option<String>,

    /// Print the results as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Print the names of the workloads
    #[arg(long)]
    pub(crate) list: bool,

    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,

    /// Be one of the processes that read beside a writer
    #[arg(long, hide = true)]
    pub(crate) reader: Option<PathBuf>,
}

impl Arguments {
    /// Whether this is only to see that everything can be run.
    pub(crate) fn is_smoke(&self) -> bool {
        !self.bench
    }

    pub(crate) fn scale(&self) -> f64 {
        self.scale.unwrap_or_else(|| if self.is_smoke() { 0.001 } else { 1.0 })
    }

    pub(crate) fn repeats(&self) -> usize {
        self.repeats.unwrap_or_else(|| if self.is_smoke() { 1 } else { 7 }).max(1)
    }

    /// The workloads that were asked for.
    ///
    /// # Errors
    /// A name is not that of a workload.
    pub(crate) fn selected(&self) -> anyhow::Result<Vec<&'static Workload>> {
        if self.names.is_empty() {
            return Ok(WORKLOADS.iter().collect());
        }
        let find = |name: &String| {
            let found = WORKLOADS.iter().find(|workload| workload.name == name);
            found.ok_or_else(|| {
                let known: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
                anyhow::anyhow!("no workload is called {name}; there are {}", known.join(", "))
            })
        };
        self.names.iter().map(find).collect()
    }
}
