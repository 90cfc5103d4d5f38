//! Many seeds at once, and what is printed when one fails.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A promise that was broken.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed that shows it.
    pub seed: u64,
    /// The arguments of `cargo test` that repeat it, given `CONCLAVE_SIM_SEED`.
    pub replay: &'static str,
    /// When, in virtual time.
    pub at: Duration,
    /// What.
    pub what: String,
    /// What was done to the cluster until then.
    pub history: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.history {
            writeln!(formatter, "  {line}")?;
        }
        let (seed, at) = (self.seed, self.at.as_secs_f64());
        writeln!(formatter, "seed {seed}, after {at:.3} s: {}", self.what)?;
        write!(
            formatter,
            "Again: CONCLAVE_SIM_SEED={seed} cargo test {} -- --nocapture",
            self.replay
        )
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Plays the seeds from 0 up to `seeds` on all processors, and adds up what they did.
///
/// # Errors
/// The failure with the lowest seed among those that were found; others are not looked for then.
pub fn play_seeds<S: Default + Send>(
    seeds: u64,
    run: impl Fn(u64) -> Result<S, Box<Failure>> + Sync,
    add: impl Fn(&mut S, S) + Sync,
) -> Result<S, Box<Failure>> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut total = S::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return Ok(total);
            }
            match run(seed) {
                Ok(summary) => add(&mut total, summary),
                Err(failure) => {
                    next.store(seeds, Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let outcomes: Vec<Result<S, Box<Failure>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let outcomes = workers.into_iter().map(|worker| worker.join());
        outcomes
            .map(|outcome| outcome.expect("a run that does not panic"))
            .collect()
    });
    let mut total = S::default();
    let mut first: Option<Box<Failure>> = None;
    for outcome in outcomes {
        match outcome {
            Ok(summary) => add(&mut total, summary),
            Err(failure) if first.as_ref().is_none_or(|first| failure.seed < first.seed) => {
                first = Some(failure);
            }
            Err(_) => {}
        }
    }
    first.map_or(Ok(total), Err)
}
