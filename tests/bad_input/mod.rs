//! What is wrong is said, and nothing is damaged by it.

mod damage;
mod peer;
mod relay;
mod start;
