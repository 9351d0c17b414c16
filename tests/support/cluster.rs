use tempfile::TempDir;

use super::{Node, Options};

/// A primary and its replicas, in a temporary directory.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// The primary, which comes first, and the replicas.
    pub(crate) nodes: Vec<Node>,
    options: Options,
    // After the nodes: their mounts must be gone before it is removed.
    directory: TempDir,
}

impl Cluster {
    /// A cluster of this many nodes, all of them ready.
    #[track_caller]
    pub(crate) fn start(count: usize) -> Self {
        Self::start_with(count, Options::default())
    }

    /// A cluster with a changed configuration, all nodes ready.
    #[track_caller]
    pub(crate) fn start_with(count: usize, options: Options) -> Self {
        let mut cluster = Self::prepare(count, options);
        for node in &mut cluster.nodes {
            node.start();
        }
        cluster
    }

    /// A cluster none of whose nodes runs yet.
    pub(crate) fn prepare(count: usize, options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut cluster = Self { nodes: Vec::new(), options, directory };
        for _ in 0..count {
            cluster.add();
        }
        cluster
    }

    /// One more node, which does not run yet.
    pub(crate) fn add(&mut self) -> &mut Node {
        let name =
            if self.nodes.is_empty() { "primary".to_owned() } else { format!("replica{}", self.nodes.len()) };
        let node = Node::new(self.directory.path(), &name, self.nodes.first(), self.options);
        self.nodes.push(node);
        self.nodes.last_mut().unwrap()
    }

    /// The primary.
    pub(crate) fn primary(&self) -> &Node {
        &self.nodes[0]
    }

    /// The first replica.
    pub(crate) fn replica(&self) -> &Node {
        &self.nodes[1]
    }

    /// A directory outside of the mounts.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }
}
