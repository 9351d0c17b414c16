//! Scenes from the life of a node.

mod any_order;
mod applying;
mod claiming;
mod feeding;
mod following;
mod lease;
mod roles;
mod scene;
mod stopping;
