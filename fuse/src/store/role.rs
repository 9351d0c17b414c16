use std::sync::{Mutex, MutexGuard, PoisonError};

use super::clock::now;

/// What programs on the mount may know of this node's part in the cluster.
#[derive(Debug, Default)]
pub struct RoleCell(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    primary: bool,
    primary_hostname: Option<String>,
    /// The primary's clock when this node last had everything, in milliseconds since the Unix epoch.
    caught_up_ms: Option<i64>,
}

impl RoleCell {
    /// This node is the primary, or follows the one on this host, or knows none.
    pub fn set(&self, primary: bool, primary_hostname: Option<String>) {
        let mut state = self.state();
        if state.primary && !primary {
            state.caught_up_ms = None;
        }
        state.primary = primary;
        state.primary_hostname = primary_hostname;
    }

    /// This node had everything the primary had at this time of the primary's clock.
    pub fn caught_up(&self, primary_ms: i64) {
        self.state().caught_up_ms = Some(primary_ms);
    }

    /// Whether this node is the primary.
    pub fn is_primary(&self) -> bool {
        self.state().primary
    }

    /// The host of the primary this node follows.
    pub fn primary_hostname(&self) -> Option<String> {
        self.state().primary_hostname.clone()
    }

    /// How far this node is behind, in milliseconds: zero on the primary, `None` before it first had everything. Clocks
    /// that differ can make it negative.
    pub fn lag_ms(&self) -> Option<i64> {
        let state = self.state();
        if state.primary { Some(0) } else { state.caught_up_ms.map(|then| now().wall_ms - then) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
