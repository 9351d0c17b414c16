//! One node and its mount.

mod exclusive;
mod lifecycle;
mod without_journal;
