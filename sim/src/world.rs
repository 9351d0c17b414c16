use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::node::Node;

thread_local! {
    /// The nodes of the simulation on this thread, by the name of the directory that stands for each.
    static NODES: RefCell<BTreeMap<String, Rc<Node>>> = const { RefCell::new(BTreeMap::new()) };
}

/// A node under a name that paths can begin with, as long as this lives.
#[derive(Debug)]
pub(crate) struct Mounted {
    name: String,
}

impl Mounted {
    /// Lets SQLite reach `node` as `/name/`.
    pub(crate) fn new(name: &str, node: Rc<Node>) -> Self {
        NODES.with_borrow_mut(|nodes| nodes.insert(name.to_owned(), node));
        Self { name: name.to_owned() }
    }

    /// The path of a file on the node.
    pub(crate) fn path(&self, file: &str) -> String {
        format!("/{}/{file}", self.name)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        NODES.with_borrow_mut(|nodes| nodes.remove(&self.name));
    }
}

/// Some node, for a file without a name, which is on none.
pub(crate) fn any_node() -> Option<Rc<Node>> {
    NODES.with_borrow(|nodes| nodes.values().next().cloned())
}

/// The node that `path` is on, and the name of the file there.
pub(crate) fn resolve(path: &str) -> Option<(Rc<Node>, &str)> {
    let (node, file) = path.strip_prefix('/')?.split_once('/')?;
    NODES.with_borrow(|nodes| nodes.get(node).cloned()).map(|node| (node, file))
}
