//! Tools on whole stores: copying one into another, backup and restore in one file, and looking whether every row is what
//! it should be. They move rows as they are stored, so they need no keys and see no secrets.
//!
//! What belongs to the life of one store is left behind: its incarnation, its change feed and the stamps in its order.
//! A store that was copied or restored begins a life of its own ([`life`]).

mod address;
mod archive;
mod backup;
mod check;
mod copy;
pub mod life;
mod pages;
mod sync;
#[cfg(test)]
mod tests;

pub use self::backup::{Restored, backup, restore};
pub use self::check::{Fault, Findings, OpenAddOn, check};
pub use self::copy::copy;

/// How far a tool is, told after each page.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// What it is doing.
    pub step: &'static str,
    /// Rows so far in this step.
    pub rows: u64,
    /// Bytes of keys and values so far in this step.
    pub bytes: u64,
    /// How many rows this step has altogether, where that is known.
    pub of_rows: Option<u64>,
}

/// Told of the progress.
pub type Watcher<'w> = &'w mut dyn FnMut(Progress);

/// What was moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved {
    /// How many rows.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// SHA-256 over all rows in order, each with the lengths of its key and value.
    pub digest: [u8; 32],
}

/// How often a source without lasting transactions is read until it held still for a whole reading.
const MAX_READINGS: usize = 6;
