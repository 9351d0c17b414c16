use super::CommandLine;

/// One program of the `exec` list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ExecEntry {
    /// What is run.
    pub(crate) command: CommandLine,
    /// Whether it is left out on a node that cannot become primary.
    pub(crate) if_candidate: bool,
}
