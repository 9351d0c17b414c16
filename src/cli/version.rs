use std::process::ExitCode;

/// Prints the version
#[derive(Debug, clap::Args)]
pub(super) struct Version {}

impl Version {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        println!("{}", text());
        Ok(ExitCode::SUCCESS)
    }
}

/// The line that names this program and its version, which clients of LiteFS look for.
pub(super) fn text() -> String {
    let version = concat!("LiteFS v", env!("CARGO_PKG_VERSION"));
    match option_env!("LITEFS_COMMIT") {
        Some(commit) => format!("{version}, commit={commit}"),
        None => version.to_owned(),
    }
}
