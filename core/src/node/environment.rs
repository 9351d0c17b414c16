use super::{Effect, Event, Node};
use crate::Now;

/// What carries out the effects of a node: the daemon's network and databases, or the simulator's.
pub trait Environment {
    /// Carries out an effect, or begins to. Its answer, if it has one, is an event later on.
    fn perform(&mut self, effect: Effect);
}

/// Tells `node` what happened and has `environment` carry out what follows from it, in order. Returns when the node wants
/// to be told what time it is, in nanoseconds of the monotonic clock.
pub fn drive(node: &mut Node, event: Event, now: Now, environment: &mut impl Environment) -> Option<u64> {
    node.handle(event, now);
    for effect in node.take_effects() {
        environment.perform(effect);
    }
    node.wake_ns()
}
