//! Service tokens: opaque, stored behind the barrier at keyed pseudonyms, with accessors, children and lifetimes.

pub mod create;
pub mod entry;
pub mod id;
pub mod tree;
