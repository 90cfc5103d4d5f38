//! Writers of one secret take turns on this node. They read what they change, so at the same time all but one of them
//! would lose and try again, and a busy secret would keep many of them from ever getting through. Between nodes, and
//! with whoever shares a turn by chance, the store's transactions decide as ever.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

/// How many turns there are. Two busy secrets share one with probability 1/256 and then wait for each other's commits.
const TURNS: usize = 256;

/// The turns of one mount.
pub(super) struct Turns {
    hasher: RandomState,
    turns: Vec<Mutex<()>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            turns: std::iter::repeat_with(Mutex::default).take(TURNS).collect(),
        }
    }
}

impl Turns {
    /// Waits for the turn to write to `path`, which lasts as long as the guard lives.
    pub(super) async fn wait(&self, path: &str) -> Option<MutexGuard<'_, ()>> {
        let hash = usize::try_from(self.hasher.hash_one(path)).unwrap_or(usize::MAX);
        match self.turns.get(hash % TURNS) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }
}
