//! What programs saw and were told, and what that must not be.

mod ledger;
mod link;
mod order;

pub(crate) use ledger::Ledger;
pub(crate) use link::{Head, Link, Outcome};
pub(crate) use order::{Began, Order, Seen};
